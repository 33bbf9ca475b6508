/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tracking costs, measured from outside: the program is linked with --wrap
 * for malloc(), calloc() and free(), and counts what is out. The C library's own
 * calls of them need not be among those, so its functions that the library keeps
 * memory of are here as well.
 */
#include <malloc.h>

#include "lib_test.h"
#include "model_test.h"

/* Bytes that malloc() set aside for what is allocated now, with its headers. */
static uint64_t heap_bytes;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __real_free(void *ptr);
void __wrap_free(void *ptr);

static void *count(void *ptr)
{
	if (ptr)
		heap_bytes += malloc_usable_size(ptr) + sizeof(size_t);
	return ptr;
}

void *__wrap_malloc(size_t size)
{
	return count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return count(__real_calloc(n, size));
}

void __wrap_free(void *ptr)
{
	if (ptr)
		heap_bytes -= malloc_usable_size(ptr) + sizeof(size_t);
	__real_free(ptr);
}

char *strdup(const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = malloc(size);

	return copy ? memcpy(copy, string, size) : NULL;
}

void *reallocarray(void *ptr, size_t n, size_t size)
{
	void *bigger;

	if (__builtin_mul_overflow(n, size, &size))
		return NULL;
	bigger = malloc(size);
	if (bigger && ptr) {
		size_t old = malloc_usable_size(ptr);

		memcpy(bigger, ptr, old < size ? old : size);
		free(ptr);
	}
	return bigger;
}

TEST(a_context)
{
	uint64_t before = heap_bytes;
	struct bitmem *ctx = test_open(2 * MIB);

	if (!ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, ctx);
	EXPECT_LT(before, heap_bytes);
	EXPECT_EQ(heap_bytes - before, test_stats(ctx).meta_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
	EXPECT_EQ(before, heap_bytes);
}

/* The workload of the requirement: 100 tensors of 1024 + 10 i bytes, below 10 %. */
TEST_F(lib, hundred_tensors)
{
	struct bitmem_tensor *tensors[100];
	struct bitmem_stats before = test_stats(self->ctx), after;
	uint64_t heap = heap_bytes, bytes = 0;

	for (unsigned int i = 0; i < 100; i++) {
		const uint64_t shape[] = { 1, 1024 + 10 * i };

		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 2, shape);
		ASSERT_NE(NULL, tensors[i]);
		bytes += shape[1];
	}
	after = test_stats(self->ctx);
	EXPECT_EQ(bytes, after.live_bytes);
	EXPECT_EQ(heap_bytes - heap, after.meta_bytes - before.meta_bytes);
	EXPECT_LT(10 * (heap_bytes - heap), bytes);
	TH_LOG("%.2f %% of %llu bytes", 100.0 * (double)(heap_bytes - heap) / (double)bytes,
	       (unsigned long long)bytes);
	for (int i = 0; i < 100; i++)
		bitmem_tensor_unref(tensors[i]);
	bitmem_trim(self->ctx);
	EXPECT_EQ(before.meta_bytes, test_stats(self->ctx).meta_bytes);
	EXPECT_EQ(heap, heap_bytes);
}

TEST_F(lib, views_and_blocks)
{
	const uint64_t shape[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t heap = heap_bytes, meta = test_stats(self->ctx).meta_bytes;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 8, shape), *v[10];
	void *blocks[10];

	ASSERT_NE(NULL, t);
	for (int i = 0; i < 10; i++) {
		v[i] = bitmem_tensor_view(t, BITMEM_U8, (unsigned int)i % 8, shape, 0);
		blocks[i] = bitmem_alloc(self->ctx, (size_t)1 << 2 * i, (size_t)1 << 2 * i);
		ASSERT_NE(NULL, v[i]);
		ASSERT_NE(NULL, blocks[i]);
		EXPECT_EQ(heap_bytes - heap, test_stats(self->ctx).meta_bytes - meta);
	}
	bitmem_tensor_unref(t);
	for (int i = 0; i < 10; i++) {
		bitmem_tensor_unref(v[i]);
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
		EXPECT_EQ(heap_bytes - heap, test_stats(self->ctx).meta_bytes - meta);
	}
}

#define N_TENSORS 200

static bool write_models(const char *dir)
{
	static struct gguf_tensor tensors[N_TENSORS];
	static char names[N_TENSORS][40], json[N_TENSORS * 100];
	struct bytes b = { 0 };
	char *to = json;
	bool good;

	for (unsigned int i = 0; i < N_TENSORS; i++) {
		snprintf(names[i], sizeof(names[i]), "%.*s%u", (int)(i % 32),
			 "a.name.of.some.length.as.there.be", i);
		tensors[i] = (struct gguf_tensor){ names[i], 1, { 8 }, 0, 32, 0 };
		to += sprintf(to, "%c\"%s\":{\"dtype\":\"U8\",\"shape\":[],"
			      "\"data_offsets\":[%u,%u]}", i ? ',' : '{', names[i], i, i + 1);
	}
	strcpy(to, "}");
	safetensors_file(&b, json, N_TENSORS);
	good = dir_write_bytes(dir, "1.safetensors", &b);
	bytes_free(&b);
	safetensors_file(&b, "{}", 0);
	good = good && dir_write_bytes(dir, "2.safetensors", &b);
	bytes_free(&b);
	gguf_file(&b, 3, "llama", tensors, N_TENSORS);
	good = good && dir_write_bytes(dir, "m.gguf", &b);
	bytes_free(&b);
	return good;
}

/* A model's names, tables and descriptions are counted, and kept by nobody in the end. */
TEST(models)
{
	char *dir = dir_make(NULL);
	const char *both[] = { dir_path(dir, "1.safetensors"), dir_path(dir, "2.safetensors") };
	const char *gguf = dir_path(dir, "m.gguf");

	ASSERT_TRUE(write_models(dir));
	for (int i = 0; i < 3; i++) {
		uint64_t start = heap_bytes, heap, meta;
		struct bitmem *ctx = test_open(2 * MIB);
		struct bitmem_model *model;

		if (!ctx && test_no_device()) {
			dir_remove(dir);
			SKIP(return, "no bitmem device");
		}
		ASSERT_NE(NULL, ctx);
		heap = heap_bytes;
		meta = test_stats(ctx).meta_bytes;
		model = i < 2 ? bitmem_model_load_files(ctx, i ? both + 1 : both, i ? 1 : 2, NULL) :
				bitmem_model_load(ctx, gguf, NULL);
		ASSERT_NE(NULL, model);
		TH_LOG("%llu bytes", (unsigned long long)(heap_bytes - heap));
		EXPECT_EQ(heap_bytes - heap, test_stats(ctx).meta_bytes - meta);
		/* In turn before and after the context is closed, even without a tensor in it. */
		if (i == 2) {
			bitmem_model_close(model);
			EXPECT_EQ(meta, test_stats(ctx).meta_bytes);
			EXPECT_EQ(heap, heap_bytes);
			EXPECT_EQ(0, bitmem_close(ctx));
		} else {
			bitmem_close(ctx);
			bitmem_model_close(model);
		}
		EXPECT_EQ(start, heap_bytes);
	}
	dir_remove(dir);
	EXPECT_FALSE(test_leaks());
}

TEST_HARNESS_MAIN
