/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Damaged copies of small files: cut at every byte, every count and length set
 * to what it must not be, and bytes changed at random.
 */
#include <time.h>
#include <unistd.h>

/* Thousands of files: in memory, if there is such a place. */
#define MODEL_DIR (access("/dev/shm", W_OK) ? NULL : "/dev/shm")
#include "model_fixture.h"

#define FLIP_ROUNDS 4000

/*
 * A GGUF file with one of everything, whose last byte belongs to a tensor. Types and
 * sizes are such that those next to them have other sizes.
 */
static void make_gguf(struct bytes *b)
{
	struct gguf_tensor tensors[] = {
		{ "first", 2, { 3, 5 }, 0, 60, 0 },
		{ "second", 1, { 128 }, 8, 136, 0 },
		{ "third", 1, { 9 }, 0, 36, 0 },
	};

	gguf_begin(b, 3, 3, 5);
	gguf_key_string(b, "general.architecture", "llama");
	gguf_key(b, "general.alignment", GGUF_U32);
	bytes_u32(b, 8, "", 0);
	gguf_key_string(b, "general.name", "x");
	gguf_key(b, "numbers", GGUF_ARRAY);
	bytes_u32(b, GGUF_BOOL, "array type", PROBE_0 | PROBE_1);
	bytes_u64(b, 3, "array length", 0);
	bytes_add(b, "\1\0\1", 3);
	gguf_key(b, "tokens", GGUF_ARRAY);
	bytes_u32(b, GGUF_STRING, "array type", 0);
	bytes_u64(b, 2, "array length", 0);
	gguf_string(b, "one");
	gguf_string(b, "two");
	gguf_tensors(b, tensors, 3, 8);
	gguf_data(b, tensors, 3, 8, false);
}

static const char json[] =
	"{\"__metadata__\":{\"k\":\"v\"},"
	"\"first\":{\"dtype\":\"F32\",\"shape\":[3,5],\"data_offsets\":[0,60]},"
	"\"second\":{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[60,67]}}";

struct sample {
	const char *name;
	struct bytes b;
};

static void make_samples(struct sample samples[2])
{
	memset(samples, 0, 2 * sizeof(*samples));
	samples[0].name = "m.gguf";
	make_gguf(&samples[0].b);
	samples[1].name = "m.safetensors";
	safetensors_file(&samples[1].b, json, 67);
}

TEST_F(model, whole)
{
	struct sample samples[2];

	make_samples(samples);
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(dir_write_bytes(self->dir, samples[i].name, &samples[i].b));
		EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, samples[i].name)));
		bytes_free(&samples[i].b);
	}
}

TEST_F(model, cut_at_every_byte)
{
	struct sample samples[2];

	make_samples(samples);
	for (int i = 0; i < 2; i++) {
		const struct bytes *b = &samples[i].b;
		bool good = true;

		for (size_t length = 0; good && length < b->length; length++) {
			ASSERT_TRUE(dir_write(self->dir, samples[i].name, b->data, length));
			good = model_refused(self->ctx, dir_path(self->dir, samples[i].name),
					     EBADMSG, samples[i].name, NULL);
			EXPECT_TRUE(good)
				TH_LOG("%s cut to %zu bytes", samples[i].name, length);
		}
		bytes_free(&samples[i].b);
	}
}

/* One more byte: nothing to GGUF, an error to safetensors. */
TEST_F(model, longer)
{
	struct sample samples[2];

	make_samples(samples);
	for (int i = 0; i < 2; i++) {
		bytes_zero(&samples[i].b, 1);
		ASSERT_TRUE(dir_write_bytes(self->dir, samples[i].name, &samples[i].b));
		bytes_free(&samples[i].b);
	}
	EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "m.gguf")));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "m.safetensors"), EBADMSG,
				  "m.safetensors", "data section"));
}

/* Each marked field set to each probe: refused by name, unless it is harmless. */
TEST_F(model, every_field)
{
	const unsigned int absurd = PROBE_MAX | PROBE_SIGN | PROBE_POSITIVE;
	struct bytes b = { 0 };

	make_gguf(&b);
	for (unsigned int m = 0; m < b.n_marks; m++) {
		const struct mark *mark = &b.marks[m];

		for (unsigned int i = 0; i < PROBES; i++) {
			const char *path = dir_path(self->dir, "m.gguf");
			struct bytes copy = { 0 };
			uint64_t value;
			bool good;

			if (!bytes_probe(&b, mark, i, &value))
				continue;
			bytes_add(&copy, b.data, b.length);
			bytes_set(&copy, mark, value);
			ASSERT_TRUE(dir_write_bytes(self->dir, "m.gguf", &copy));
			bytes_free(&copy);
			if (mark->harmless & 1 << i)
				good = model_loads(self->ctx, path);
			else
				good = model_refused(self->ctx, path, 0, "m.gguf",
						     absurd & 1 << i ? mark->field : NULL);
			EXPECT_TRUE(good)
				TH_LOG("%s at byte %zu set to %#llx", mark->field, mark->pos,
				       (unsigned long long)value);
		}
	}
	bytes_free(&b);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Changes one to four bytes, most of them of the header. */
static void flip(struct bytes *b, size_t header, uint64_t *state)
{
	unsigned int n = 1 + (unsigned int)(next_random(state) % 4);

	while (n--) {
		size_t at = next_random(state) % (next_random(state) % 8 ? header : b->length);

		if (next_random(state) % 2)
			b->data[at] ^= (unsigned char)(1 << next_random(state) % 8);
		else
			b->data[at] = (unsigned char)next_random(state);
	}
}

/* Loads, and is then exactly what the file says; or is refused, and nothing is left. */
static bool loads_or_not(FIXTURE_DATA(model) *self, const char *name)
{
	const char *path = dir_path(self->dir, name);
	struct bitmem_stats before = test_stats(self->ctx), after;
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;
	struct bitmem_model *model;
	bool good;

	bitmem_model_options_init(&options);
	options.error = &error;
	model = bitmem_model_load(self->ctx, path, &options);
	if (model) {
		good = model_matches_files(model);
		bitmem_model_close(model);
		return good;
	}
	after = test_stats(self->ctx);
	return (errno == EBADMSG || errno == ENOTSUP || errno == EMEDIUMTYPE) &&
	       error.code == -errno && !strchr(error.text, '\n') &&
	       test_stats_equal(&before, &after);
}

TEST_F(model, random_bytes)
{
	const char *given = getenv("BITMEM_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 1 | 1;
	uint64_t state = seed ? seed : 1;
	struct sample samples[2];
	bool good = true;

	make_samples(samples);
	TH_LOG("BITMEM_SEED=%#llx", (unsigned long long)seed);
	for (int round = 0; good && round < FLIP_ROUNDS; round++) {
		const struct sample *sample = &samples[round % 2];
		size_t header = sample->b.length - 67;
		struct bytes copy = { 0 };

		bytes_add(&copy, sample->b.data, sample->b.length);
		flip(&copy, header, &state);
		ASSERT_TRUE(dir_write_bytes(self->dir, sample->name, &copy));
		good = loads_or_not(self, sample->name);
		EXPECT_TRUE(good)
			TH_LOG("round %d of BITMEM_SEED=%#llx: errno %d", round,
			       (unsigned long long)seed, errno);
		bytes_free(&copy);
	}
	bytes_free(&samples[0].b);
	bytes_free(&samples[1].b);
}

TEST_HARNESS_MAIN
