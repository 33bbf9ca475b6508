/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real model files, made by other programs: every byte of every tensor compared
 * with the file, and what a few of them are known to hold.
 */
#include "model_fixture.h"

/* What a file holds, read off with other tools (od, python's json and struct). */
struct known {
	const char *file, *format;
	size_t tensors;
	const char *name, *dtype;
	unsigned int ndims;
	uint64_t shape[2], bytes, offset;
};

static const struct known known[] = {
	{ "bitnet-i2_s.gguf", "gguf", 5, "blk.0.ffn_down.weight", "I2_S", 2, { 768, 256 }, 49184,
	  49632 },
	{ "ollama-llama-2-tiny-random.gguf", "gguf", 12, "token_embd.weight", "F16", 2,
	  { 8, 32000 }, 512000, 724416 },
	{ "rand-llama-TQ2_0.gguf", "gguf", 21, "blk.0.attn_k.weight", "TQ2_0", 2, { 256, 256 },
	  16896, 18134016 },
	{ "debian-compressed-tensors-hadamards.safetensors", "safetensors", 66, "108", "I8", 2,
	  { 108, 108 }, 11664, 26673 },
	{ "ollama-minicpm3-4b-model.safetensors", "safetensors", 15, "lm_head.weight", "F32", 2,
	  { 100, 100 }, 40000, 1544 },
};

FIXTURE(real)
{
	struct bitmem *ctx;
	const char *dir;
};

FIXTURE_VARIANT(real)
{
	size_t i;
};

FIXTURE_VARIANT_ADD(real, bitnet_i2_s) { .i = 0 };
FIXTURE_VARIANT_ADD(real, llama_2_tiny) { .i = 1 };
FIXTURE_VARIANT_ADD(real, llama_tq2_0) { .i = 2 };
FIXTURE_VARIANT_ADD(real, hadamards) { .i = 3 };
FIXTURE_VARIANT_ADD(real, minicpm3) { .i = 4 };

FIXTURE_SETUP(real)
{
	self->dir = models_dir();
	if (!self->dir)
		SKIP(return, "no ../shared/models and no $BITMEM_MODELS");
	self->ctx = test_open(2 * MIB);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
}

FIXTURE_TEARDOWN(real)
{
	struct bitmem_stats stats = test_stats(self->ctx);

	EXPECT_EQ(0, stats.live);
	EXPECT_EQ(0, stats.committed_bytes);
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_FALSE(test_leaks());
}

static const struct bitmem_model_entry *find(const struct bitmem_model *model, const char *name)
{
	const struct bitmem_model_entry *entry;

	for (size_t i = 0; (entry = bitmem_model_entry(model, i)); i++)
		if (!strcmp(entry->name, name))
			return entry;
	return NULL;
}

TEST_F(real, every_byte)
{
	const struct known *k = &known[variant->i];
	struct bitmem_model_info info = { .size = sizeof(info) };
	const struct bitmem_model_entry *entry;
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;
	struct bitmem_model *model;
	struct bitmem_stats stats;

	bitmem_model_options_init(&options);
	options.error = &error;
	model = bitmem_model_load(self->ctx, dir_path(self->dir, k->file), &options);
	ASSERT_NE(NULL, model)
		TH_LOG("%s", error.text);
	EXPECT_TRUE(model_matches_files(model));
	ASSERT_EQ(0, bitmem_model_info(model, &info));
	EXPECT_STREQ(k->format, info.format_name);
	EXPECT_EQ(k->tensors, info.tensors);
	EXPECT_EQ(1, info.files);
	EXPECT_LT(0, info.seconds);
	EXPECT_STREQ(dir_path(self->dir, k->file), bitmem_model_file(model, 0));
	stats = test_stats(self->ctx);
	EXPECT_EQ(k->tensors, stats.live);
	EXPECT_EQ(info.bytes, stats.live_bytes);
	EXPECT_EQ(1, stats.segments);
	entry = find(model, k->name);
	ASSERT_NE(NULL, entry);
	EXPECT_STREQ(k->dtype, entry->dtype_name);
	EXPECT_EQ(k->ndims, entry->ndims);
	EXPECT_EQ(k->shape[0], entry->shape[0]);
	EXPECT_EQ(k->shape[1], entry->shape[1]);
	EXPECT_EQ(k->bytes, entry->bytes);
	EXPECT_EQ(k->offset, entry->file_offset);
	bitmem_model_close(model);
}

/* A tensor that was referenced outlives model and context. */
TEST_F(real, tensor_outlives_model)
{
	const struct known *k = &known[variant->i];
	struct bitmem_model *model;
	struct bitmem_tensor *tensor;
	unsigned char *copy;

	model = bitmem_model_load(self->ctx, dir_path(self->dir, k->file), NULL);
	ASSERT_NE(NULL, model);
	tensor = bitmem_tensor_ref(bitmem_model_tensor(model, k->name));
	ASSERT_NE(NULL, tensor);
	copy = malloc(k->bytes);
	ASSERT_NE(NULL, copy);
	memcpy(copy, bitmem_tensor_data(tensor), k->bytes);
	bitmem_model_close(model);
	EXPECT_EQ(1, bitmem_close(self->ctx));
	EXPECT_EQ(0, memcmp(copy, bitmem_tensor_data(tensor), k->bytes));
	bitmem_tensor_unref(tensor);
	free(copy);
	self->ctx = test_open(2 * MIB);
	ASSERT_NE(NULL, self->ctx);
}

/* Cut anywhere behind the header it is refused, and at the header's ends too. */
TEST_F(real, cut_short)
{
	const struct known *k = &known[variant->i];
	char *dir = dir_make(NULL), *data;
	FILE *file = fopen(dir_path(self->dir, k->file), "rbe");
	long length;
	bool good = true;

	ASSERT_NE(NULL, dir);
	ASSERT_NE(NULL, file);
	ASSERT_EQ(0, fseek(file, 0, SEEK_END));
	length = ftell(file);
	rewind(file);
	data = malloc((size_t)length);
	ASSERT_NE(NULL, data);
	ASSERT_EQ((size_t)length, fread(data, 1, (size_t)length, file));
	fclose(file);
	for (long cut = length - 33; good && cut > 0; cut = cut * 5 / 6) {
		ASSERT_TRUE(dir_write(dir, k->file, data, (size_t)cut));
		good = model_refused(self->ctx, dir_path(dir, k->file), EBADMSG, k->file, NULL);
	}
	EXPECT_TRUE(good);
	free(data);
	dir_remove(dir);
}

TEST_HARNESS_MAIN
