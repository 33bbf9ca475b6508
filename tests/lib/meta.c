/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tracking costs, measured from outside: the program is linked with --wrap
 * for malloc(), calloc(), aligned_alloc() and free(), and counts what is out. The C library's own
 * calls of them need not be among those, so its functions that the library keeps
 * memory of are here as well. The tables that the library keeps outside the heap show in
 * what the kernel counts as anonymous memory of the process, which is in whole pages: so
 * that is looked at with very many tensors.
 */
#include <malloc.h>

#include <bitmem/track.h>

#include "lib_test.h"
#include "model_test.h"

/* Bytes that malloc() set aside for what is allocated now, with its headers. */
static uint64_t heap_bytes;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
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

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return count(__real_aligned_alloc(align, size));
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

/* Bytes of this process's anonymous memory; blocks are none. */
static uint64_t anonymous_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	unsigned long long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file) && !sscanf(line, "Anonymous: %llu", &kib))
		;
	if (file)
		fclose(file);
	return kib * 1024;
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

/* What a report at the end needs is there, and counted, from the beginning. */
TEST(a_context_that_reports)
{
	uint64_t before = heap_bytes;
	struct bitmem *ctx;

	setenv("BITMEM_LEAKS", "text:/dev/null", 1);
	ctx = test_open(2 * MIB);
	unsetenv("BITMEM_LEAKS");
	if (!ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, ctx);
	EXPECT_EQ(heap_bytes - before, test_stats(ctx).meta_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
	EXPECT_EQ(before, heap_bytes);
}

/* A mark is its caller's; the epoch that it began is not, and goes when many are put together. */
TEST(marks)
{
	enum { N = 1500 };
	static struct bitmem_mark *marks[N];
	uint64_t before = heap_bytes, last = 0, now;
	struct bitmem *ctx = test_open(2 * MIB);
	unsigned int drops = 0;

	if (!ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, ctx);
	for (int i = 0; i < N; i++) {
		bitmem_mark_free(bitmem_mark(ctx));
		now = test_stats(ctx).meta_bytes;
		ASSERT_EQ(heap_bytes - before, now);
		drops += now < last;
		last = now;
	}
	EXPECT_LT(0, drops);
	for (int i = 0; i < N; i++) {
		marks[i] = bitmem_mark(ctx);
		ASSERT_NE(NULL, marks[i]);
	}
	EXPECT_LT(last, test_stats(ctx).meta_bytes);
	for (int i = 0; i < N; i++)
		bitmem_mark_free(marks[i]);
	EXPECT_EQ(heap_bytes - before, test_stats(ctx).meta_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
	EXPECT_EQ(before, heap_bytes);
}

static uint64_t shape_bytes(unsigned int i)
{
	return 1024 + 10 * i;
}

/* The workload of the requirement: 100 tensors of 1024 + 10 i bytes, below 10 %. */
TEST_F(lib, hundred_tensors)
{
	struct bitmem_tensor *tensors[100];
	struct bitmem_stats before, after;
	uint64_t heap, bytes = 0, meta;

	test_warm_up(self->ctx);
	before = test_stats(self->ctx);
	heap = heap_bytes;
	for (unsigned int i = 0; i < 100; i++) {
		const uint64_t shape = shape_bytes(i);

		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
		ASSERT_NE(NULL, tensors[i]);
		bytes += shape;
	}
	after = test_stats(self->ctx);
	meta = after.meta_bytes - before.meta_bytes;
	EXPECT_EQ(bytes, after.live_bytes - before.live_bytes);
	EXPECT_LE(heap_bytes - heap, meta);
	EXPECT_LT(10 * meta, bytes);
	TH_LOG("%.2f %% of %llu bytes, %.2f %% of it on the heap, shapes and free slots included",
	       100.0 * (double)meta / (double)bytes, (unsigned long long)bytes,
	       100.0 * (double)(heap_bytes - heap) / (double)bytes);
	for (int i = 0; i < 100; i++)
		bitmem_tensor_unref(tensors[i]);
	bitmem_trim(self->ctx);
	EXPECT_EQ(before.live, test_stats(self->ctx).live);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

/*
 * The same a thousand times over, so that pages do not matter: at most 16 bytes a tensor besides
 * its shape of one number, and 1.1 % of what is alive.
 */
TEST_F_TIMEOUT(lib, hundred_tensors_a_thousand_times, 120)
{
	enum { N = 100000 };
	struct bitmem_tensor **tensors = calloc(N, sizeof(*tensors));
	uint64_t anonymous, bytes = 0, shapes = N * sizeof(uint64_t);
	int64_t grown;

	ASSERT_NE(NULL, tensors);
	for (unsigned int i = 0; i < N; i++)
		tensors[i] = (struct bitmem_tensor *)-1;
	test_warm_up(self->ctx);
	anonymous = anonymous_bytes();
	for (unsigned int i = 0; i < N; i++) {
		const uint64_t shape = shape_bytes(i % 100);

		tensors[i] = bitmem_tensor_empty(self->ctx, BITMEM_U8, 1, &shape);
		ASSERT_NE(NULL, tensors[i]);
		bytes += shape;
	}
	grown = (int64_t)(anonymous_bytes() - anonymous);
	TH_LOG("%.2f bytes a tensor, %.3f %% of %llu bytes; with shapes %.2f bytes, %.3f %%",
	       (double)(grown - (int64_t)shapes) / N,
	       100.0 * (double)(grown - (int64_t)shapes) / (double)bytes,
	       (unsigned long long)bytes, (double)grown / N,
	       100.0 * (double)grown / (double)bytes);
	if (!test_sanitized()) {
		EXPECT_LE(grown, (int64_t)shapes + 16 * N);
		EXPECT_LE(grown - (int64_t)shapes, (int64_t)(bytes * 11 / 1000));
	}
	for (int i = 0; i < N; i++)
		bitmem_tensor_unref(tensors[i]);
	free(tensors);
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

/* The cache that a thread gets at its first call stays the thread's. */
static void get_cache(void)
{
	struct bitmem *ctx = test_open(2 * MIB);

	if (!ctx)
		return;
	bitmem_free(ctx, bitmem_alloc(ctx, 1, 0));
	bitmem_close(ctx);
}

/* A model's names, tables and descriptions are counted, and kept by nobody in the end. */
TEST(models)
{
	char *dir = dir_make(NULL);
	const char *both[] = { dir_path(dir, "1.safetensors"), dir_path(dir, "2.safetensors") };
	const char *gguf = dir_path(dir, "m.gguf");

	ASSERT_TRUE(write_models(dir));
	get_cache();
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
		EXPECT_LE(heap_bytes - heap, test_stats(ctx).meta_bytes - meta);
		/* In turn before and after the context is closed, even without a tensor in it. */
		if (i == 2) {
			bitmem_model_close(model);
			/* Records of tensors stay readable, and are used again. */
			EXPECT_GT(meta + 16 * 1024, test_stats(ctx).meta_bytes);
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
