/* SPDX-License-Identifier: GPL-2.0 */
/* Split GGUF sets. */
#include "model_fixture.h"

#include <unistd.h>

#define FILES 3

/* What a set is written with; each member may be made wrong for one file. */
struct set {
	unsigned int count, tensors;
	unsigned int no[FILES];
	const char *names[FILES];
};

static const struct set good_set = {
	.count = FILES,
	.tensors = 5,
	.no = { 0, 1, 2 },
	.names = { "m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf" },
};

/* File 0 has no tensors of its own (--no-tensor-first-split), 1 has three, 2 has two. */
static bool write_member(const char *dir, const struct set *set, unsigned int i)
{
	struct gguf_tensor tensors[FILES][3] = {
		{ { 0 } },
		{ { "a", 1, { 1000 }, 0, 4000, 0 },
		  { "b", 2, { 64, 3 }, 8, 204, 0 },
		  { "c", 1, { 7 }, 24, 7, 0 } },
		{ { "d", 1, { 5000 }, 1, 10000, 0 }, { "e", 1, { 1 }, 0, 4, 0 } },
	};
	static const size_t counts[FILES] = { 0, 3, 2 };
	struct bytes b = { 0 };
	bool good;

	gguf_begin(&b, 3, counts[i], i ? 3 : 4);
	if (!i)
		gguf_key_string(&b, "general.architecture", "llama");
	gguf_key_u16(&b, "split.no", (uint16_t)set->no[i]);
	gguf_key_u16(&b, "split.count", (uint16_t)set->count);
	gguf_key_i32(&b, "split.tensors.count", (int32_t)set->tensors);
	gguf_tensors(&b, tensors[i], counts[i], 32);
	gguf_data(&b, tensors[i], counts[i], 32, true);
	good = dir_write_bytes(dir, set->names[i], &b);
	bytes_free(&b);
	return good;
}

static bool write_set(const char *dir, const struct set *set)
{
	for (unsigned int i = 0; i < FILES; i++)
		if (!write_member(dir, set, i))
			return false;
	return true;
}

static bool first_refused(FIXTURE_DATA(model) *self, const struct set *set, int code,
			  const char *file, const char *words)
{
	return model_refused(self->ctx, dir_path(self->dir, set->names[0]), code, file, words);
}

TEST_F(model, whole_set)
{
	struct bitmem_model_info info = { .size = sizeof(info) };
	struct bitmem_model *model;

	ASSERT_TRUE(write_set(self->dir, &good_set));
	model = bitmem_model_load(self->ctx, dir_path(self->dir, good_set.names[0]), NULL);
	ASSERT_NE(NULL, model);
	EXPECT_TRUE(model_matches_files(model));
	ASSERT_EQ(0, bitmem_model_info(model, &info));
	EXPECT_EQ(3, info.files);
	EXPECT_EQ(5, info.tensors);
	EXPECT_EQ(4000 + 204 + 7 + 10000 + 4, info.bytes);
	for (unsigned int i = 0; i < FILES; i++)
		EXPECT_STREQ(dir_path(self->dir, good_set.names[i]), bitmem_model_file(model, i));
	EXPECT_EQ(1, bitmem_model_entry(model, 0)->file);
	EXPECT_EQ(2, bitmem_model_entry(model, 4)->file);
	EXPECT_EQ(2, test_stats(self->ctx).segments);
	bitmem_model_close(model);
}

/* All files given, in any order: none is loaded twice. */
TEST_F(model, all_files_given)
{
	static const unsigned int orders[][FILES] = { { 0, 1, 2 }, { 2, 0, 1 }, { 1, 2, 0 } };

	ASSERT_TRUE(write_set(self->dir, &good_set));
	for (size_t i = 0; i < 3; i++) {
		struct bitmem_model_info info = { .size = sizeof(info) };
		struct bitmem_model *model;
		const char *paths[FILES];

		for (unsigned int j = 0; j < FILES; j++)
			paths[j] = dir_path(self->dir, good_set.names[orders[i][j]]);
		model = bitmem_model_load_files(self->ctx, paths, FILES, NULL);
		ASSERT_NE(NULL, model);
		EXPECT_TRUE(model_matches_files(model));
		ASSERT_EQ(0, bitmem_model_info(model, &info));
		EXPECT_EQ(3, info.files);
		EXPECT_EQ(5, info.tensors);
		bitmem_model_close(model);
	}
}

TEST_F(model, not_the_first)
{
	ASSERT_TRUE(write_set(self->dir, &good_set));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, good_set.names[1]), EBADMSG,
				  good_set.names[1], good_set.names[0]));
}

TEST_F(model, missing_member)
{
	ASSERT_TRUE(write_set(self->dir, &good_set));
	ASSERT_EQ(0, unlink(dir_path(self->dir, good_set.names[2])));
	EXPECT_TRUE(first_refused(self, &good_set, ENOENT, good_set.names[2], NULL));
}

TEST_F(model, damaged_members)
{
	struct set set = good_set;

	set.no[1] = 2;
	ASSERT_TRUE(write_set(self->dir, &set));
	EXPECT_TRUE(first_refused(self, &set, EBADMSG, set.names[1], "split.no"));
	set = good_set;
	set.tensors = 6;
	ASSERT_TRUE(write_set(self->dir, &set));
	EXPECT_TRUE(first_refused(self, &set, EBADMSG, set.names[0], "split.tensors.count"));
	ASSERT_TRUE(write_member(self->dir, &good_set, 0));
	EXPECT_TRUE(first_refused(self, &set, EBADMSG, set.names[1], "split.tensors.count"));
	set = good_set;
	set.count = 4;
	ASSERT_TRUE(write_set(self->dir, &good_set));
	ASSERT_TRUE(write_member(self->dir, &set, 2));
	EXPECT_TRUE(first_refused(self, &good_set, EBADMSG, set.names[2], "split.count"));
	ASSERT_TRUE(write_set(self->dir, &set));
	EXPECT_TRUE(first_refused(self, &set, EBADMSG, set.names[0], "split.count"));
	ASSERT_TRUE(write_set(self->dir, &good_set));
	ASSERT_TRUE(dir_write(self->dir, set.names[1], "\2\0\0\0\0\0\0\0{}", 10));
	EXPECT_TRUE(first_refused(self, &good_set, EBADMSG, set.names[1], NULL));
}

/* The name must be that of the first of the set. */
TEST_F(model, wrong_name)
{
	struct set set = good_set;

	set.names[0] = "m.gguf";
	ASSERT_TRUE(write_set(self->dir, &set));
	EXPECT_TRUE(first_refused(self, &set, EBADMSG, "m.gguf", "split.count"));
}

/* A merged file says 0, a set of one says 1: neither is a set. */
TEST_F(model, no_set)
{
	struct gguf_tensor tensor = { "a", 1, { 8 }, 0, 32, 0 };

	for (uint16_t count = 0; count <= 1; count++) {
		struct bytes b = { 0 };

		gguf_begin(&b, 3, 1, 2);
		gguf_key_u16(&b, "split.no", 0);
		gguf_key_u16(&b, "split.count", count);
		gguf_tensors(&b, &tensor, 1, 32);
		gguf_data(&b, &tensor, 1, 32, true);
		ASSERT_TRUE(dir_write_bytes(self->dir, "m.gguf", &b));
		bytes_free(&b);
		EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "m.gguf")));
	}
}

/* The same name in two files, and two formats, cannot be one model. */
TEST_F(model, files_that_do_not_match)
{
	static const char json[] =
		"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";
	struct gguf_tensor tensor = { "a", 1, { 8 }, 0, 32, 0 };
	const char *paths[2] = { dir_path(self->dir, "1.gguf"), dir_path(self->dir, "2.gguf") };
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;
	struct bitmem_stats before = test_stats(self->ctx), after;
	struct bytes b = { 0 };

	bitmem_model_options_init(&options);
	options.error = &error;
	gguf_file(&b, 3, "llama", &tensor, 1);
	ASSERT_TRUE(dir_write_bytes(self->dir, "1.gguf", &b));
	ASSERT_TRUE(dir_write_bytes(self->dir, "2.gguf", &b));
	bytes_free(&b);
	EXPECT_EQ(NULL, bitmem_model_load_files(self->ctx, paths, 2, &options));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_EQ(-EBADMSG, error.code);
	EXPECT_NE(NULL, strstr(error.text, "2.gguf: tensor \"a\""));
	safetensors_file(&b, json, 4);
	ASSERT_TRUE(dir_write_bytes(self->dir, "2.gguf", &b));
	bytes_free(&b);
	EXPECT_EQ(NULL, bitmem_model_load_files(self->ctx, paths, 2, &options));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_NE(NULL, strstr(error.text, "2.gguf: format: "));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	paths[1] = paths[0];
	{
		struct bitmem_model *model =
			bitmem_model_load_files(self->ctx, paths, 2, &options);

		ASSERT_NE(NULL, model);
		EXPECT_EQ(NULL, bitmem_model_file(model, 1));
		bitmem_model_close(model);
	}
}

TEST_HARNESS_MAIN
