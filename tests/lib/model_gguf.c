/* SPDX-License-Identifier: GPL-2.0 */
/* GGUF files of our own: versions, every type, dialects, and what must be refused. */
#include "model_fixture.h"

/* The types' ids, elements and bytes of a block, from the format's description. */
static const struct {
	uint32_t id;
	const char *name;
	uint64_t elements, bytes;
} types[] = {
	{ 0, "F32", 1, 4 },	   { 1, "F16", 1, 2 },	      { 2, "Q4_0", 32, 18 },
	{ 3, "Q4_1", 32, 20 },	   { 6, "Q5_0", 32, 22 },     { 7, "Q5_1", 32, 24 },
	{ 8, "Q8_0", 32, 34 },	   { 9, "Q8_1", 32, 36 },     { 10, "Q2_K", 256, 84 },
	{ 11, "Q3_K", 256, 110 },  { 12, "Q4_K", 256, 144 },  { 13, "Q5_K", 256, 176 },
	{ 14, "Q6_K", 256, 210 },  { 15, "Q8_K", 256, 292 },  { 16, "IQ2_XXS", 256, 66 },
	{ 17, "IQ2_XS", 256, 74 }, { 18, "IQ3_XXS", 256, 98 }, { 19, "IQ1_S", 256, 50 },
	{ 20, "IQ4_NL", 32, 18 },  { 21, "IQ3_S", 256, 110 }, { 22, "IQ2_S", 256, 82 },
	{ 23, "IQ4_XS", 256, 136 }, { 24, "I8", 1, 1 },	      { 25, "I16", 1, 2 },
	{ 26, "I32", 1, 4 },	   { 27, "I64", 1, 8 },	      { 28, "F64", 1, 8 },
	{ 29, "IQ1_M", 256, 56 },  { 30, "BF16", 1, 2 },      { 34, "TQ1_0", 256, 54 },
	{ 35, "TQ2_0", 256, 66 },  { 39, "MXFP4", 32, 17 },   { 40, "NVFP4", 64, 36 },
	{ 41, "Q1_0", 128, 18 },   { 42, "Q2_0", 64, 18 },
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static void write_file(struct __test_metadata *_metadata, const char *dir, const char *name,
		       struct bytes *b)
{
	ASSERT_TRUE(dir_write_bytes(dir, name, b));
	bytes_free(b);
}

/* Loads DIR/m.gguf as @dialect and checks it against the file. NULL if it is refused. */
static struct bitmem_model *load_as(FIXTURE_DATA(model) *self, enum bitmem_dialect dialect)
{
	struct bitmem_model_options options;
	struct bitmem_model *model;

	bitmem_model_options_init(&options);
	options.dialect = dialect;
	model = bitmem_model_load(self->ctx, dir_path(self->dir, "m.gguf"), &options);
	if (model && model_matches_files(model))
		return model;
	bitmem_model_close(model);
	return NULL;
}

TEST_F(model, every_type)
{
	static char names[N_TYPES][16];
	struct gguf_tensor tensors[N_TYPES];
	struct bytes b = { 0 };
	struct bitmem_model *model;

	for (size_t i = 0; i < N_TYPES; i++) {
		snprintf(names[i], sizeof(names[i]), "t%zu", i);
		tensors[i] = (struct gguf_tensor){ names[i], 3, { types[i].elements * 3, 5, 2 },
						   types[i].id, types[i].bytes * 30, 0 };
	}
	for (uint32_t version = 2; version <= 3; version++) {
		gguf_file(&b, version, "llama", tensors, N_TYPES);
		write_file(_metadata, self->dir, "m.gguf", &b);
		model = load_as(self, BITMEM_DIALECT_AUTO);
		ASSERT_NE(NULL, model);
		for (size_t i = 0; i < N_TYPES; i++) {
			const struct bitmem_model_entry *entry = bitmem_model_entry(model, i);

			EXPECT_STREQ(types[i].name, entry->dtype_name);
			EXPECT_EQ(types[i].bytes * 30, entry->bytes);
			EXPECT_EQ(3, entry->ndims);
			EXPECT_EQ(types[i].elements * 3, entry->shape[0]);
			EXPECT_EQ(2, entry->shape[2]);
		}
		bitmem_model_close(model);
	}
}

TEST_F(model, no_tensors)
{
	struct bitmem_model_info info = { .size = sizeof(info) };
	struct bitmem_model *model;
	struct bytes b = { 0 };

	gguf_file(&b, 3, "llama", NULL, 0);
	write_file(_metadata, self->dir, "m.gguf", &b);
	model = load_as(self, BITMEM_DIALECT_AUTO);
	ASSERT_NE(NULL, model);
	ASSERT_EQ(0, bitmem_model_info(model, &info));
	EXPECT_EQ(0, info.tensors);
	EXPECT_EQ(0, info.bytes_read);
	EXPECT_EQ(NULL, bitmem_model_entry(model, 0));
	errno = 0;
	EXPECT_EQ(NULL, bitmem_model_tensor(model, "x"));
	EXPECT_EQ(ENOENT, errno);
	bitmem_model_close(model);
}

/* Scalars, empty tensors (also behind missing padding), a name of 63 bytes. */
TEST_F(model, odd_tensors)
{
	char name[64];
	struct gguf_tensor tensors[] = {
		{ "", 0, { 0 }, 0, 4, 0 },
		{ "empty", 2, { 0, 7 }, 1, 0, 0 },
		{ name, 4, { 1, 1, 1, 3 }, 24, 3, 0 },
		{ "empty at the end", 1, { 0 }, 0, 0, 0 },
	};
	struct bytes b = { 0 };

	memset(name, 'n', 63);
	name[63] = '\0';
	gguf_begin(&b, 3, 4, 0);
	gguf_tensors(&b, tensors, 4, 32);
	gguf_data(&b, tensors, 3, 32, false);
	write_file(_metadata, self->dir, "m.gguf", &b);
	EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "m.gguf")));
}

TEST_F(model, alignments)
{
	struct gguf_tensor tensors[] = {
		{ "a", 2, { 3, 5 }, 0, 60, 0 },
		{ "b", 1, { 11 }, 24, 11, 0 },
		{ "c", 1, { 1000 }, 1, 2000, 0 },
	};
	static const uint32_t alignments[] = { 1, 2, 8, 32, 64, 4096, 65536, 1 << 20 };

	for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++) {
		struct bytes b = { 0 };

		gguf_begin(&b, 3, 3, 1);
		gguf_key_u32(&b, "general.alignment", alignments[i]);
		gguf_tensors(&b, tensors, 3, alignments[i]);
		gguf_data(&b, tensors, 3, alignments[i], i & 1);
		write_file(_metadata, self->dir, "m.gguf", &b);
		EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "m.gguf")));
	}
}

/* All kinds of values are stepped over. */
TEST_F(model, metadata)
{
	struct gguf_tensor tensor = { "a", 1, { 8 }, 0, 32, 0 };
	static const unsigned int widths[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
	struct bytes b = { 0 };
	char key[64];

	gguf_begin(&b, 3, 1, 25);
	for (uint32_t type = 0; type <= GGUF_F64; type++) {
		if (type == GGUF_ARRAY)
			continue;
		snprintf(key, sizeof(key), "scalar.%u", type);
		gguf_key(&b, key, type);
		if (type == GGUF_STRING)
			gguf_string(&b, "some\x01thing");
		else
			bytes_noise(&b, widths[type], type);
		snprintf(key, sizeof(key), "array.%u", type);
		gguf_key(&b, key, GGUF_ARRAY);
		bytes_u32(&b, type, NULL, 0);
		bytes_u64(&b, 70000, NULL, 0);
		for (unsigned int i = 0; type == GGUF_STRING && i < 70000; i++) {
			gguf_string(&b, i % 3 ? "token" : "");
		}
		bytes_noise(&b, (uint64_t)widths[type] * 70000, type);
	}
	gguf_key(&b, "array.empty", GGUF_ARRAY);
	bytes_u32(&b, GGUF_STRING, NULL, 0);
	bytes_u64(&b, 0, NULL, 0);
	gguf_tensors(&b, &tensor, 1, 32);
	gguf_data(&b, &tensor, 1, 32, true);
	write_file(_metadata, self->dir, "m.gguf", &b);
	EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "m.gguf")));
}

/* More keys and tensors than tables begin with; found by name, and only those. */
TEST_F(model, many_names)
{
	enum { N = 3000 };
	static char names[N][24];
	struct gguf_tensor *tensors = calloc(N, sizeof(*tensors));
	struct bitmem_model *model;
	struct bytes b = { 0 };
	char key[24];

	ASSERT_NE(NULL, tensors);
	gguf_begin(&b, 3, N, N);
	for (unsigned int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "blk.%u.w", i);
		tensors[i] = (struct gguf_tensor){ names[i], 1, { i % 7 }, 0, i % 7 * 4, 0 };
		snprintf(key, sizeof(key), "key.%u", i);
		gguf_key_u32(&b, key, i);
	}
	gguf_tensors(&b, tensors, N, 32);
	gguf_data(&b, tensors, N, 32, true);
	free(tensors);
	write_file(_metadata, self->dir, "m.gguf", &b);
	model = load_as(self, BITMEM_DIALECT_AUTO);
	ASSERT_NE(NULL, model);
	EXPECT_NE(NULL, bitmem_model_tensor(model, "blk.2999.w"));
	EXPECT_EQ(NULL, bitmem_model_tensor(model, "blk.3000.w"));
	EXPECT_EQ(NULL, bitmem_model_tensor(model, ""));
	bitmem_model_close(model);
}

/* An empty tensor behind padding that is not there, a whole 64 KiB away. */
TEST_F(model, empty_beyond_the_end)
{
	struct gguf_tensor tensors[] = {
		{ "a", 1, { 3 }, 24, 3, 0 },
		{ "empty", 2, { 5, 0 }, 0, 0, 0 },
	};
	struct bytes b = { 0 };

	gguf_begin(&b, 3, 2, 1);
	gguf_key_u32(&b, "general.alignment", 65536);
	gguf_tensors(&b, tensors, 2, 65536);
	gguf_data(&b, tensors, 1, 65536, false);
	write_file(_metadata, self->dir, "m.gguf", &b);
	EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "m.gguf")));
}

/* --- dialects --- */

/* Loads tensors of @type twice as large as @bytes says, and says as what. */
static const char *read_as(struct __test_metadata *_metadata, FIXTURE_DATA(model) *self,
			   const char *architecture, enum bitmem_dialect dialect,
			   struct gguf_tensor *tensors, size_t n)
{
	static char name[16];
	struct bitmem_model *model;
	struct bytes b = { 0 };

	gguf_file(&b, 3, architecture, tensors, n);
	write_file(_metadata, self->dir, "m.gguf", &b);
	model = load_as(self, dialect);
	if (!model)
		return NULL;
	snprintf(name, sizeof(name), "%s", bitmem_model_entry(model, 0)->dtype_name);
	bitmem_model_close(model);
	return name;
}

#define TL2_BYTES (((512 - 256) * 6 / 3 * 5 / 8 + 256 * 6 / 2 * 4 / 8 + 31) / 32 * 32 + 32)
#define MXFP4_BYTES (512 * 6 / 32 * 17)

TEST_F(model, dialect_by_ids)
{
	static const struct {
		uint32_t id;
		const char *name;
		uint64_t bytes;
	} bitnet[] = {
		{ 36, "I2_S", 512 * 6 / 4 + 32 },
		{ 37, "I8_S", 512 * 6 },
		{ 38, "TL1", 512 * 6 / 4 + 32 },
	};

	for (size_t i = 0; i < 3; i++) {
		struct gguf_tensor tensors[] = {
			{ "a", 2, { 512, 6 }, bitnet[i].id, bitnet[i].bytes, 0 },
			{ "b", 2, { 512, 6 }, 39, TL2_BYTES, 0 },
			{ "c", 1, { 8 }, 0, 32, 0 },
		};

		EXPECT_STREQ(bitnet[i].name, read_as(_metadata, self, "llama",
						     BITMEM_DIALECT_AUTO, tensors, 3));
		EXPECT_STREQ(bitnet[i].name, read_as(_metadata, self, "bitnet-b1.58",
						     BITMEM_DIALECT_BITNET, tensors, 3));
		EXPECT_EQ(NULL, read_as(_metadata, self, "bitnet-b1.58", BITMEM_DIALECT_GGML,
					tensors, 3));
	}
}

/* Id 39 alone: told by the offsets, whatever the architecture says. */
TEST_F(model, dialect_by_offsets)
{
	struct gguf_tensor tl2[] = { { "a", 2, { 512, 6 }, 39, TL2_BYTES, 0 },
				     { "b", 1, { 8 }, 0, 32, 0 } };
	struct gguf_tensor mxfp4[] = { { "a", 2, { 512, 6 }, 39, MXFP4_BYTES, 0 },
				       { "b", 1, { 8 }, 0, 32, 0 } };
	static const char *const architectures[] = { "llama", "bitnet" };

	for (size_t i = 0; i < 2; i++) {
		for (size_t n = 1; n <= 2; n++) {
			EXPECT_STREQ("TL2", read_as(_metadata, self, architectures[i],
						    BITMEM_DIALECT_AUTO, tl2, n));
			EXPECT_STREQ("MXFP4", read_as(_metadata, self, architectures[i],
						      BITMEM_DIALECT_AUTO, mxfp4, n));
		}
		EXPECT_STREQ("TL2", read_as(_metadata, self, architectures[i],
					    BITMEM_DIALECT_BITNET, tl2, 2));
		EXPECT_EQ(NULL, read_as(_metadata, self, architectures[i], BITMEM_DIALECT_BITNET,
					mxfp4, 2));
		EXPECT_STREQ("MXFP4", read_as(_metadata, self, architectures[i],
					      BITMEM_DIALECT_GGML, mxfp4, 2));
		EXPECT_EQ(NULL, read_as(_metadata, self, architectures[i], BITMEM_DIALECT_GGML,
					tl2, 2));
	}
}

/* Both readings fit a file that goes on behind its only tensor: never guessed. */
TEST_F(model, dialect_undecidable)
{
	struct gguf_tensor tensor = { "a", 2, { 512, 6 }, 39, TL2_BYTES, 0 };
	static const char *const architectures[] = { "llama", "bitnet" };

	for (size_t i = 0; i < 2; i++) {
		struct bytes b = { 0 };
		struct bitmem_model *model;

		gguf_file(&b, 3, architectures[i], &tensor, 1);
		bytes_noise(&b, 4096, 1);
		write_file(_metadata, self->dir, "m.gguf", &b);
		model = load_as(self, BITMEM_DIALECT_BITNET);
		ASSERT_NE(NULL, model);
		bitmem_model_close(model);
		model = load_as(self, BITMEM_DIALECT_AUTO);
		EXPECT_EQ(i == 1, model != NULL);
		if (model) {
			EXPECT_STREQ("TL2", bitmem_model_entry(model, 0)->dtype_name);
		} else {
			EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "m.gguf"),
						  ENOTSUP, "m.gguf", "39"));
		}
		bitmem_model_close(model);
	}
}

/* --- refused --- */

TEST_F(model, versions)
{
	static const uint32_t versions[] = { 0, 1, 4, 5, 0x02000000, 0x03000000, UINT32_MAX };
	struct bytes b = { 0 };

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		gguf_file(&b, versions[i], "llama", NULL, 0);
		write_file(_metadata, self->dir, "m.gguf", &b);
		EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "m.gguf"), ENOTSUP,
					  "m.gguf", "version"));
	}
	ASSERT_TRUE(dir_write(self->dir, "m.gguf", "FUGG\0\0\0\3", 8));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "m.gguf"), ENOTSUP, "m.gguf",
				  "magic"));
}

/* Writes two tensors with these descriptions, then expects a refusal. */
static bool pair_refused(FIXTURE_DATA(model) *self, struct gguf_tensor *tensors, int code,
			 const char *words)
{
	struct bytes b = { 0 };

	gguf_file(&b, 3, "llama", tensors, 2);
	bytes_noise(&b, 8192, 3);
	if (!dir_write_bytes(self->dir, "m.gguf", &b))
		return false;
	bytes_free(&b);
	return model_refused(self->ctx, dir_path(self->dir, "m.gguf"), code, "m.gguf", words);
}

TEST_F(model, bad_tensors)
{
	static char long_name[65];
	const uint64_t half = (uint64_t)1 << 62;
	struct {
		struct gguf_tensor tensors[2];
		int code;
		const char *words;
	} cases[] = {
		{ { { "a", 1, { 8 }, 0, 32, 0 }, { "a", 1, { 8 }, 0, 32, 0 } }, EBADMSG, "twice" },
		{ { { long_name, 1, { 8 }, 0, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "name" },
		{ { { "a", 1, { 31 }, 2, 18, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "dimensions" },
		{ { { "a", 2, { 16, 2 }, 2, 18, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "dimensions" },
		{ { { "a", 2, { half, 4 }, 0, 0, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "dimensions" },
		{ { { "a", 3, { half, 2, 2 }, 24, 0, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "dimensions" },
		{ { { "a", 1, { half + 1 }, 28, 8, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "dimensions" },
		{ { { "a", 1, { half }, 24, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "data" },
		{ { { "a", 1, { 9 }, 0, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "offset" },
		{ { { "a", 1, { 8 }, 0, 64, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "offset" },
		{ { { "a", 1, { 8 }, 4, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, ENOTSUP, "type" },
		{ { { "a", 1, { 8 }, 31, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, ENOTSUP, "type" },
		{ { { "a", 1, { 8 }, 43, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, ENOTSUP, "type" },
		{ { { "a", 5, { 8 }, 0, 32, 0 }, { "b", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "n_dims" },
		{ { { "\x1b[2Jx\n", 1, { 9 }, 0, 32, 0 }, { "b\x07", 1, { 8 }, 0, 32, 0 } },
		  EBADMSG, "\\x07" },
		{ { { "a", 1, { 9 }, 0, 32, 0 }, { "\xe2\x28\xff", 1, { 8 }, 0, 32, 0 } }, EBADMSG,
		  "\\xe2(\\xff" },
	};

	memset(long_name, 'l', 64);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT_TRUE(pair_refused(self, cases[i].tensors, cases[i].code, cases[i].words))
			TH_LOG("case %zu", i);
	}
}

/* Expects a file with these @keys, and no tensors, to be refused. Frees @keys. */
static bool keys_refused(FIXTURE_DATA(model) *self, struct bytes *keys, uint64_t n,
			 const char *words)
{
	struct bytes b = { 0 };
	bool good;

	gguf_begin(&b, 3, 0, n);
	bytes_add(&b, keys->data, keys->length);
	bytes_zero(&b, 64);
	good = dir_write_bytes(self->dir, "m.gguf", &b) &&
	       model_refused(self->ctx, dir_path(self->dir, "m.gguf"), EBADMSG, "m.gguf", words);
	bytes_free(&b);
	bytes_free(keys);
	return good;
}

static void array(struct bytes *b, uint32_t type, uint64_t n)
{
	gguf_key(b, "a", GGUF_ARRAY);
	bytes_u32(b, type, NULL, 0);
	bytes_u64(b, n, NULL, 0);
}

TEST_F(model, bad_keys)
{
	static const uint32_t bad_alignments[] = { 0, 3, 33, 48, UINT32_MAX };
	static char long_key[65537];
	struct bytes b = { 0 };

	for (size_t i = 0; i < sizeof(bad_alignments) / sizeof(bad_alignments[0]); i++) {
		gguf_key_u32(&b, "general.alignment", bad_alignments[i]);
		EXPECT_TRUE(keys_refused(self, &b, 1, "power of two"));
	}
	gguf_key_i32(&b, "general.alignment", 32);
	EXPECT_TRUE(keys_refused(self, &b, 1, "type"));
	gguf_key_u32(&b, "general.architecture", 1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "type"));
	gguf_key_u32(&b, "split.count", 1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "type"));
	gguf_key_i32(&b, "split.tensors.count", -1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "negative"));
	gguf_key_u32(&b, "k", 1);
	gguf_key_u16(&b, "k", 1);
	EXPECT_TRUE(keys_refused(self, &b, 2, "twice"));
	gguf_key_u32(&b, "", 1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "name"));
	memset(long_key, 'k', 65536);
	gguf_key_u32(&b, long_key, 1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "name"));
	bytes_u64(&b, 3, NULL, 0);
	bytes_add(&b, "a\0b", 3);
	bytes_u32(&b, GGUF_U32, NULL, 0);
	bytes_u32(&b, 0, NULL, 0);
	EXPECT_TRUE(keys_refused(self, &b, 1, "NUL"));
	gguf_key(&b, "k", 13);
	EXPECT_TRUE(keys_refused(self, &b, 1, "type"));
	array(&b, GGUF_ARRAY, 1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "array"));
	array(&b, 13, 1);
	EXPECT_TRUE(keys_refused(self, &b, 1, "array"));
	array(&b, GGUF_U64, UINT64_MAX / 8 + 2);
	EXPECT_TRUE(keys_refused(self, &b, 1, "array"));
	array(&b, GGUF_U64, 1 << 30);
	EXPECT_TRUE(keys_refused(self, &b, 1, "array"));
	array(&b, GGUF_STRING, 1 << 30);
	EXPECT_TRUE(keys_refused(self, &b, 1, "array"));
	array(&b, GGUF_STRING, 2);
	bytes_u64(&b, UINT64_MAX, NULL, 0);
	bytes_zero(&b, 64);
	EXPECT_TRUE(keys_refused(self, &b, 1, "string"));
	array(&b, GGUF_STRING, 2);
	bytes_u64(&b, 1 << 20, NULL, 0);
	bytes_zero(&b, 64);
	EXPECT_TRUE(keys_refused(self, &b, 1, "string"));
}

TEST_HARNESS_MAIN
