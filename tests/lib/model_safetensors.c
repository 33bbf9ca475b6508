/* SPDX-License-Identifier: GPL-2.0 */
/* safetensors files of our own: every dtype, odd layouts, and what must be refused. */
#include "model_fixture.h"

#include <unistd.h>

static const struct {
	const char *name;
	unsigned int bits;
} dtypes[] = {
	{ "BOOL", 8 },	{ "F4", 4 },	  { "F6_E2M3", 6 },	{ "F6_E3M2", 6 },
	{ "U8", 8 },	{ "I8", 8 },	  { "F8_E5M2", 8 },	{ "F8_E4M3", 8 },
	{ "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "I16", 16 },
	{ "U16", 16 },	{ "F16", 16 },	  { "BF16", 16 },	{ "I32", 32 },
	{ "U32", 32 },	{ "F32", 32 },	  { "C64", 64 },	{ "F64", 64 },
	{ "I64", 64 },	{ "U64", 64 },
};

#define N_DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

static bool write_file(FIXTURE_DATA(model) *self, const char *json, size_t data)
{
	struct bytes b = { 0 };
	bool good;

	safetensors_file(&b, json, data);
	good = dir_write_bytes(self->dir, "m.safetensors", &b);
	bytes_free(&b);
	return good;
}

static const char *path(FIXTURE_DATA(model) *self)
{
	return dir_path(self->dir, "m.safetensors");
}

/* Listed backwards: the file's order is that of the offsets. */
TEST_F(model, every_dtype)
{
	char json[8192], *to = json;
	struct bitmem_model *model;
	uint64_t end = 0;

	for (size_t i = 0; i < N_DTYPES; i++)
		end += 3ull * 7 * 8 * dtypes[i].bits / 8;
	for (size_t n = 0, i = N_DTYPES; i-- > 0; n++) {
		uint64_t bytes = 3ull * 7 * 8 * dtypes[i].bits / 8;

		to += sprintf(to, "%s\"t.%zu\":{\"dtype\":\"%s\",\"shape\":[3,7,8],"
			      "\"data_offsets\":[%llu,%llu]}", n ? "," : "{", i, dtypes[i].name,
			      (unsigned long long)(end - bytes), (unsigned long long)end);
		end -= bytes;
	}
	strcpy(to, ",\"__metadata__\":{\"format\":\"pt\"}}  ");
	for (size_t i = 0; i < N_DTYPES; i++)
		end += 3ull * 7 * 8 * dtypes[i].bits / 8;
	ASSERT_TRUE(write_file(self, json, end));
	model = bitmem_model_load(self->ctx, path(self), NULL);
	ASSERT_NE(NULL, model);
	EXPECT_TRUE(model_matches_files(model));
	for (size_t i = 0; i < N_DTYPES; i++) {
		const struct bitmem_model_entry *entry = bitmem_model_entry(model, i);

		EXPECT_STREQ(dtypes[i].name, entry->dtype_name);
		EXPECT_STREQ(dtypes[i].name, bitmem_dtype_info(entry->dtype)->name);
		EXPECT_EQ(3ull * 7 * 8 * dtypes[i].bits / 8, entry->bytes);
		EXPECT_EQ(7, entry->shape[1]);
	}
	bitmem_model_close(model);
}

#define T(name, dtype, shape, offsets)                                                             \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

TEST_F(model, allowed)
{
	static const struct {
		const char *json;
		size_t data;
	} cases[] = {
		{ "{}", 0 },
		{ " \t\n{} ", 0 },
		{ "{\"__metadata__\":{}}", 0 },
		{ "{" T("scalar", "F32", "[]", "[0,4]") "}", 4 },
		{ "{" T("", "U8", "[1]", "[0,1]") "}", 1 },
		{ "{" T("e1", "F32", "[0,5]", "[0,0]") "," T("a", "U8", "[3]", "[0,3]") ","
		  T("e2", "F32", "[0]", "[3,3]") "}", 3 },
		{ "{" T("e1", "F32", "[0]", "[0,0]") "," T("e2", "F32", "[0]", "[0,0]") "}", 0 },
		{ "{" T("a", "U8", "[1,2,1,2,1,2,1,2]", "[0,16]") "}", 16 },
		{ "{" T("f4", "F4", "[3,2]", "[0,3]") "}", 3 },
		{ "{" T("\\u00e9\\n", "U8", "[2]", "[0,2]") "}", 2 },
		{ "{\"x\":{\"data_offsets\":[0,2],\"more\":1,\"shape\":[1],\"dtype\":\"I16\"}}",
		  2 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASSERT_TRUE(write_file(self, cases[i].json, cases[i].data));
		EXPECT_TRUE(model_loads(self->ctx, path(self)))
			TH_LOG("case %zu", i);
	}
}

static const struct {
	const char *json;
	size_t data;
	int code;
	const char *words;
} malformed[] = {
	{ "", 0, EBADMSG, "header" },
	{ "[]", 0, EBADMSG, "header" },
	{ "1", 0, EBADMSG, "header" },
	{ "{", 0, EBADMSG, "header" },
	{ "{}}", 0, EBADMSG, "header" },
	{ "{}x", 0, EBADMSG, "header" },
	{ "{'a':1}", 0, EBADMSG, "header" },
	{ "{\"a\xff\":{}}", 0, EBADMSG, "header" },
	{ "{}", 1, EBADMSG, "data section" },
	{ "{\"a\":1}", 0, EBADMSG, "\"a\" description: 1 where" },
	{ "{\"a\":{}}", 0, EBADMSG, "dtype: missing where" },
	{ "{\"a\":[[[[[]]]]]}", 0, EBADMSG, "header: nested deeper than 4 at byte 9" },
	{ "{\"a\":{},}", 0, EBADMSG, "header" },
	{ "{\"a\":{}", 0, EBADMSG, "header: bad JSON at byte 7" },
	{ "{\"a\" {}}", 0, EBADMSG, "header: bad JSON at byte 5" },
	{ "{\"a\":}", 0, EBADMSG, "header" },
	{ "{\"a\":{]}", 0, EBADMSG, "header" },
	{ "{\"a", 0, EBADMSG, "header" },
	{ "{\"a\\", 0, EBADMSG, "header" },
	{ "{\"__metadata__\":{},\"__metadata__\":{}}", 0, EBADMSG, "header" },
	{ "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, EBADMSG,
	  "shape: missing where" },
	{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, EBADMSG,
	  "data_offsets: missing where" },
	{ "{\"a\":{\"dtype\":5,\"shape\":[],\"data_offsets\":[0,4]}}", 4, EBADMSG,
	  "dtype: 5 where" },
	{ "{" T("a", "F33", "[1]", "[0,4]") "}", 4, ENOTSUP, "dtype" },
	{ "{" T("a", "f32", "[1]", "[0,4]") "}", 4, ENOTSUP, "dtype" },
	{ "{" T("a", "F32", "4", "[0,4]") "}", 4, EBADMSG, "shape: 4 where" },
	{ "{" T("a", "F32", "[-1]", "[0,4]") "}", 4, EBADMSG, "shape" },
	{ "{" T("a", "F32", "[1.0]", "[0,4]") "}", 4, EBADMSG, "shape" },
	{ "{" T("a", "F32", "[\\\"1\\\"]", "[0,4]") "}", 4, EBADMSG, "header" },
	{ "{" T("a", "F32", "[true]", "[0,4]") "}", 4, EBADMSG, "shape: true where" },
	{ "{" T("a", "F32", "[18446744073709551616]", "[0,4]") "}", 4, EBADMSG, "header" },
	{ "{" T("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, EBADMSG, "shape" },
	{ "{" T("a", "F32", "[2147483649,2147483649,4]", "[0,4]") "}", 4, EBADMSG,
	  "shape" },
	{ "{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0, EBADMSG, "shape" },
	{ "{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, ENOTSUP, "shape" },
	{ "{" T("a", "F4", "[3]", "[0,2]") "}", 2, EBADMSG, "shape" },
	{ "{" T("a", "F6_E2M3", "[2]", "[0,2]") "}", 2, EBADMSG, "shape" },
	{ "{" T("a", "F32", "[1]", "[0]") "}", 4, EBADMSG, "data_offsets: [0] where" },
	{ "{" T("a", "F32", "[1]", "[0,4,8]") "}", 4, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "{}") "}", 4, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[0,\"4\"]") "}", 4, EBADMSG,
	  "data_offsets: \"4\" where" },
	{ "{" T("a", "F32", "[1]", "[0,4.0]") "}", 4, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[-4,0]") "}", 4, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[4,0]") "}", 4, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[0,5]") "}", 5, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[0,4]") "}", 3, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[0,4]") "}", 5, EBADMSG, "data section" },
	{ "{" T("a", "F32", "[1]", "[1,5]") "}", 5, EBADMSG, "data_offsets" },
	{ "{" T("a", "F32", "[1]", "[0,9223372036854775807]") "}", 4, EBADMSG,
	  "data_offsets" },
	/* Overlap, gap, the same range twice, the same name twice. */
	{ "{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[3,7]") "}", 7,
	  EBADMSG, "data_offsets" },
	{ "{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[5,9]") "}", 9,
	  EBADMSG, "data_offsets" },
	{ "{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[0,4]") "}", 4,
	  EBADMSG, "data_offsets" },
	{ "{" T("a", "U8", "[4]", "[0,4]") "," T("a", "U8", "[4]", "[4,8]") "}", 8,
	  EBADMSG, "header" },
	{ "{" T("a", "U8", "[9]", "[0,9]") "," T("b", "U8", "[2]", "[3,5]") "}", 9,
	  EBADMSG, "data_offsets" },
	{ "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],"
	  "\"data_offsets\":[0,1]}}", 1, EBADMSG, "header" },
	{ "{\"__metadata__\":[]}", 0, EBADMSG, "__metadata__" },
	{ "{\"__metadata__\":{\"a\":1}}", 0, EBADMSG, "__metadata__" },
	{ "{\"__metadata__\":{\"a\":null}}", 0, EBADMSG, "__metadata__ \"a\": null where" },
	{ "{" T("a\\u0000b", "U8", "[1]", "[0,1]") "}", 1, EBADMSG, "header" },
	{ "{" T("\\u001b[2J\\n", "U8", "[1]", "[0,2]") "}", 2, EBADMSG, "\\x1b" },
	{ "{" T("\\u202e", "U8", "[1]", "[0,2]") "}", 2, EBADMSG, "\\xe2\\x80\\xae" },
};

TEST_F(model, malformed)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		ASSERT_TRUE(write_file(self, malformed[i].json, malformed[i].data));
		EXPECT_TRUE(model_refused(self->ctx, path(self), malformed[i].code, "m.safetensors",
					  malformed[i].words))
			TH_LOG("case %zu: %s", i, malformed[i].json);
	}
}

/* JSON nested deeper than any header, and names longer than any error may be. */
TEST_F(model, huge_json)
{
	size_t n = 1 << 20;
	char *json = malloc(n + 64), *to;

	ASSERT_NE(NULL, json);
	memset(json, '[', n);
	json[n] = '\0';
	ASSERT_TRUE(write_file(self, json, 0));
	EXPECT_TRUE(model_refused(self->ctx, path(self), EBADMSG, "m.safetensors", "header"));
	to = json;
	to += sprintf(to, "{\"");
	memset(to, 'n', n - 100);
	strcpy(to + n - 100, "\":7}");
	ASSERT_TRUE(write_file(self, json, 0));
	EXPECT_TRUE(model_refused(self->ctx, path(self), EBADMSG, "m.safetensors", "nnnn"));
	to = json;
	to += sprintf(to, "{\"");
	for (int i = 0; i < 100; i++)
		to += sprintf(to, i < 50 ? "\\u202e" : "\\u00e9");
	strcpy(to, "\":7}");
	ASSERT_TRUE(write_file(self, json, 0));
	EXPECT_TRUE(model_refused(self->ctx, path(self), EBADMSG, "m.safetensors",
				  "...\" description: 7 where an object is due"));
	free(json);
}

#define HOSTILE ((size_t)4 << 20)

/* A header of HOSTILE bytes: @head, then @fmt with rising numbers, then @tail. */
static bool write_hostile(const char *path, const char *head, const char *fmt, const char *tail)
{
	FILE *f = fopen(path, "w");
	uint64_t length = HOSTILE;
	size_t at = strlen(head), end = HOSTILE - strlen(tail);
	char piece[80];
	bool good;

	if (!f)
		return false;
	fwrite(&length, sizeof(length), 1, f);
	fputs(head, f);
	for (unsigned int i = 0; at + sizeof(piece) < end; i++) {
		at += (size_t)sprintf(piece, fmt, i);
		fputs(piece, f);
	}
	fprintf(f, "%s%*s", tail, (int)(end - at), "");
	good = !ferror(f);
	return !fclose(f) && good;
}

/* Whatever a header is made of, it costs little more than its text. */
TEST_F(model, costs_of_headers)
{
	extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
	static const struct {
		const char *head, *fmt, *tail, *words;
	} cases[] = {
		{ "{\"__metadata__\":[", "[],", "[]]}", "__metadata__: bad JSON at byte 16" },
		{ "{\"__metadata__\":{\"a\":[", "[],", "[]]}}", "__metadata__: more than 64" },
		{ "{\"a\":{\"shape\":[", "1,", "1]}}", "header: more than 64" },
		{ "{\"a\":{", "\"%x\":{},", "\"\":{}}}", "header: more than 64" },
		{ "{", "\"%x\":{},", "\"\":{}}", "\"0\" dtype: missing" },
		{ "{\"__metadata__\":{", "\"%x\":\"\",", "\"\":\"\"}}", NULL },
		{ "{", "\"%x\":{\"dtype\":\"F4\",\"shape\":[0],\"data_offsets\":[0,0]},",
		  "\"\":{}}", "\"\" dtype: missing" },
	};
	const char *file = path(self);
	size_t before = test_status("VmHWM"), cost;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASSERT_TRUE(write_hostile(file, cases[i].head, cases[i].fmt, cases[i].tail));
		EXPECT_TRUE(cases[i].words ? model_refused(self->ctx, file, EBADMSG,
							   "m.safetensors", cases[i].words) :
					     model_loads(self->ctx, file));
		cost = test_status("VmHWM") - before;
		TH_LOG("case %zu: %.1f times the header", i, (double)cost / (double)HOSTILE);
		/* The address sanitizer keeps what was freed. */
		if (!__lsan_do_recoverable_leak_check)
			EXPECT_GT(8 * HOSTILE, cost);
	}
}

TEST_F(model, header_lengths)
{
	struct bytes b = { 0 };
	uint64_t value;

	safetensors_file(&b, "{" T("a", "U8", "[8]", "[0,8]") "}", 8);
	for (unsigned int i = 0; i < PROBES; i++) {
		struct bytes copy = { 0 };

		if (!bytes_probe(&b, &b.marks[0], i, &value))
			continue;
		bytes_add(&copy, b.data, b.length);
		bytes_set(&copy, &b.marks[0], value);
		ASSERT_TRUE(dir_write_bytes(self->dir, "m.safetensors", &copy));
		EXPECT_TRUE(model_refused(self->ctx, path(self), EBADMSG, "m.safetensors",
					  "header"));
		bytes_free(&copy);
	}
	/* A length that the file has, but no header may have. */
	value = 100000001;
	bytes_set(&b, &b.marks[0], value);
	ASSERT_TRUE(dir_write_bytes(self->dir, "m.safetensors", &b));
	ASSERT_EQ(0, truncate(path(self), 200000000));
	EXPECT_TRUE(model_refused(self->ctx, path(self), EBADMSG, "m.safetensors", "above"));
	bytes_free(&b);
}

/* The format is recognised by content under any name, and nothing else is taken for it. */
TEST_F(model, recognised)
{
	static const struct {
		const char *name, *data;
		size_t length;
		const char *words;
	} others[] = {
		{ "a", "", 0, "begins with \"\"" },
		{ "a.bin", "\x7f" "ELF\2\1\0", 7, "begins with \"\\x7fELF\\x02\\x01\\x00\"" },
		{ "a.txt", "hello, world, this is no model\n", 31, "\"hello, world, th\"" },
		{ "config.json", "{\"architectures\":[]}", 20, "format" },
		{ "a.gguf", "\2\0\0\0\0\0\0\0[]", 10, "\\x00[]\"" },
	};
	struct bytes b = { 0 };

	safetensors_file(&b, " {" T("a", "U8", "[8]", "[0,8]") "}", 8);
	ASSERT_TRUE(dir_write_bytes(self->dir, "blob", &b));
	bytes_free(&b);
	EXPECT_TRUE(model_loads(self->ctx, dir_path(self->dir, "blob")));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ASSERT_TRUE(dir_write(self->dir, others[i].name, others[i].data,
				      others[i].length));
		EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, others[i].name),
					  EMEDIUMTYPE, others[i].name, others[i].words));
	}
	ASSERT_TRUE(dir_write(self->dir, "a.safetensors", "", 0));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "a.safetensors"), EBADMSG,
				  "a.safetensors", "header length"));
	ASSERT_TRUE(dir_write(self->dir, "a.gguf", "", 0));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "a.gguf"), EBADMSG, "a.gguf",
				  "magic"));
}

TEST_HARNESS_MAIN
