/* SPDX-License-Identifier: GPL-2.0 */
/* Sharded safetensors: an index and its files. */
#include "model_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#define INDEX "model.safetensors.index.json"
#define ONE   "model-00001-of-00002.safetensors"
#define TWO   "model-00002-of-00002.safetensors"

static bool write_shards(const char *dir)
{
	struct bytes b = { 0 };
	bool good;

	safetensors_file(&b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[5001],\"data_offsets\":[0,5001]},"
			 "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[5001,5005]}}",
			 5005);
	good = dir_write_bytes(dir, ONE, &b);
	bytes_free(&b);
	safetensors_file(&b, "{\"c\":{\"dtype\":\"BF16\",\"shape\":[3,2],\"data_offsets\":[0,12]}}",
			 12);
	good = good && dir_write_bytes(dir, TWO, &b);
	bytes_free(&b);
	return good;
}

static bool write_index(const char *dir, const char *text)
{
	return dir_write(dir, INDEX, text, strlen(text));
}

#define GOOD_INDEX                                                                                 \
	"{\"metadata\":{\"total_size\":5017},\"weight_map\":{\"c\":\"" TWO "\",\"a\":\"" ONE       \
	"\",\"b\":\"" ONE "\"}}"

TEST_F(model, whole_set)
{
	struct bitmem_model_info info = { .size = sizeof(info) };
	struct bitmem_model *model;

	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_TRUE(write_index(self->dir, GOOD_INDEX));
	model = bitmem_model_load(self->ctx, dir_path(self->dir, INDEX), NULL);
	ASSERT_NE(NULL, model);
	EXPECT_TRUE(model_matches_files(model));
	ASSERT_EQ(0, bitmem_model_info(model, &info));
	EXPECT_EQ(BITMEM_FORMAT_SAFETENSORS, info.format);
	EXPECT_EQ(2, info.files);
	EXPECT_EQ(3, info.tensors);
	EXPECT_EQ(5017, info.bytes);
	EXPECT_STREQ(dir_path(self->dir, ONE), bitmem_model_file(model, 0));
	EXPECT_STREQ(dir_path(self->dir, TWO), bitmem_model_file(model, 1));
	EXPECT_STREQ("c", bitmem_model_entry(model, 2)->name);
	EXPECT_EQ(1, bitmem_model_entry(model, 2)->file);
	bitmem_model_close(model);
}

/* An index is known by its content too. */
TEST_F(model, other_name)
{
	static const char text[] = " \n\t" GOOD_INDEX;

	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_TRUE(dir_write(self->dir, "model.json", text, strlen(text)));
	EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "model.json")));
}

/* The current directory, where the index has no directory in its name. */
TEST_F(model, relative_path)
{
	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_TRUE(write_index(self->dir, GOOD_INDEX));
	ASSERT_EQ(0, chdir(self->dir));
	EXPECT_TRUE(model_loads(self->ctx, INDEX));
}

/* Shards given as well, before or after, are not loaded again. */
TEST_F(model, shards_given_too)
{
	static const char *const orders[][3] = { { INDEX, ONE, TWO }, { TWO, INDEX, ONE } };

	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_TRUE(write_index(self->dir, GOOD_INDEX));
	for (size_t i = 0; i < 2; i++) {
		struct bitmem_model_info info = { .size = sizeof(info) };
		struct bitmem_model *model;
		const char *paths[3];

		for (size_t j = 0; j < 3; j++)
			paths[j] = dir_path(self->dir, orders[i][j]);
		model = bitmem_model_load_files(self->ctx, paths, 3, NULL);
		ASSERT_NE(NULL, model);
		EXPECT_TRUE(model_matches_files(model));
		ASSERT_EQ(0, bitmem_model_info(model, &info));
		EXPECT_EQ(2, info.files);
		EXPECT_EQ(3, info.tensors);
		bitmem_model_close(model);
	}
}

TEST_F(model, malformed)
{
	static const struct {
		const char *index;
		int code;
		const char *file, *words;
	} cases[] = {
		{ "", EBADMSG, INDEX, "index" },
		{ "{", EBADMSG, INDEX, "index" },
		{ "[]", EBADMSG, INDEX, "weight_map" },
		{ "{}", EBADMSG, INDEX, "weight_map: missing" },
		{ "{\"weight_map\":{}}", EBADMSG, INDEX, "empty" },
		{ "{\"weight_map\":[\"a\"]}", EBADMSG, INDEX,
		  "weight_map: [\"a\"] where an object" },
		{ "{\"weight_map\":{\"a\":1}}", EBADMSG, INDEX, "\"a\": 1 where a string" },
		{ "{\"metadata\":[[[[[[[[1]]]]]]]]}", EBADMSG, INDEX, "deeper than 8 at byte 19" },
		{ "{\"weight_map\":{\"a\":\"\"}}", EBADMSG, INDEX, "plain" },
		{ "{\"weight_map\":{\"a\":\"..\"}}", EBADMSG, INDEX, "plain" },
		{ "{\"weight_map\":{\"a\":\".\"}}", EBADMSG, INDEX, "plain" },
		{ "{\"weight_map\":{\"a\":\"../" ONE "\"}}", EBADMSG, INDEX, "plain" },
		{ "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", EBADMSG, INDEX, "plain" },
		{ "{\"weight_map\":{\"a\":\"sub/x\"}}", EBADMSG, INDEX, "plain" },
		{ "{\"weight_map\":{\"a\":\"no.safetensors\"}}", ENOENT, "no.safetensors", "open" },
		{ "{\"weight_map\":{\"a\":\"" INDEX "\"}}", EBADMSG, INDEX, "format" },
		{ "{\"weight_map\":{\"a\":\"" ONE "\",\"a\":\"" ONE "\"}}", EBADMSG, INDEX,
		  "index" },
		/* In a shard, not in the map; in the map, in no shard; in another shard. */
		{ "{\"weight_map\":{\"a\":\"" ONE "\",\"c\":\"" TWO "\"}}", EBADMSG, INDEX,
		  "\"b\"" },
		{ "{\"weight_map\":{\"a\":\"" ONE "\",\"b\":\"" ONE "\",\"c\":\"" TWO
		  "\",\"d\":\"" TWO "\"}}", EBADMSG, INDEX, "\"d\"" },
		{ "{\"weight_map\":{\"a\":\"" ONE "\",\"b\":\"" TWO "\",\"c\":\"" TWO "\"}}",
		  EBADMSG, INDEX, "\"b\"" },
	};

	ASSERT_TRUE(write_shards(self->dir));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASSERT_TRUE(write_index(self->dir, cases[i].index));
		EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, INDEX), cases[i].code,
					  cases[i].file, cases[i].words))
			TH_LOG("case %zu", i);
	}
}

/* More entries than any model has tensors: refused before they cost anything. */
TEST_F(model, too_many_entries)
{
	size_t n = 24 << 20;
	char *text = malloc(n + 1);

	ASSERT_NE(NULL, text);
	strcpy(text, "{\"metadata\":[");
	for (size_t at = strlen(text); at + 3 <= n; at += 3)
		memcpy(text + at, "[],", 4);
	ASSERT_TRUE(write_index(self->dir, text));
	free(text);
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, INDEX), EBADMSG, INDEX,
				  "index: more than 524288 values"));
}

TEST_F(model, bad_shards)
{
	struct gguf_tensor tensor = { "c", 1, { 8 }, 0, 32, 0 };
	struct bytes b = { 0 };
	const char *index = dir_path(self->dir, INDEX);

	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_TRUE(write_index(self->dir, GOOD_INDEX));
	ASSERT_EQ(0, unlink(dir_path(self->dir, TWO)));
	EXPECT_TRUE(model_refused(self->ctx, index, ENOENT, TWO, "open"));
	ASSERT_EQ(0, mkdir(dir_path(self->dir, TWO), 0700));
	EXPECT_TRUE(model_refused(self->ctx, index, EISDIR, TWO, "open"));
	ASSERT_EQ(0, rmdir(dir_path(self->dir, TWO)));
	ASSERT_EQ(0, mkfifo(dir_path(self->dir, TWO), 0600));
	EXPECT_TRUE(model_refused(self->ctx, index, EMEDIUMTYPE, TWO, "type"));
	ASSERT_EQ(0, unlink(dir_path(self->dir, TWO)));
	gguf_file(&b, 3, "llama", &tensor, 1);
	ASSERT_TRUE(dir_write_bytes(self->dir, TWO, &b));
	bytes_free(&b);
	EXPECT_TRUE(model_refused(self->ctx, index, EBADMSG, TWO, "format"));
	ASSERT_TRUE(write_shards(self->dir));
	gguf_file(&b, 3, "llama", &tensor, 1);
	ASSERT_TRUE(dir_write_bytes(self->dir, ONE, &b));
	bytes_free(&b);
	EXPECT_TRUE(model_refused(self->ctx, index, EBADMSG, ONE, "format"));
	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_EQ(0, truncate(dir_path(self->dir, TWO), 20));
	EXPECT_TRUE(model_refused(self->ctx, index, EBADMSG, TWO, "header length"));
	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_EQ(0, truncate(index, (32 << 20) + 1));
	EXPECT_TRUE(model_refused(self->ctx, index, EBADMSG, INDEX, "size"));
	ASSERT_TRUE(write_index(self->dir, GOOD_INDEX));
	/* Both names lead to one file: its tensors cannot be in two places. */
	ASSERT_EQ(0, unlink(dir_path(self->dir, TWO)));
	ASSERT_EQ(0, symlink(ONE, dir_path(self->dir, TWO)));
	EXPECT_TRUE(model_refused(self->ctx, index, EBADMSG, INDEX, "weight_map"));
}

TEST_HARNESS_MAIN
