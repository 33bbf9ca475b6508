/* SPDX-License-Identifier: GPL-2.0 */
/* What may happen while the backend takes memory back, when nobody has the lock. */
#include "../../libbitmem/block.h"
#include "lib_test.h"
#include "pools_test.h"

#define SEGMENT (2 * MIB)
#define SIZE ((size_t)32768)
#define N (2 * SEGMENT / SIZE)

/* A backend that does something else first, once. */
static const struct bm_backend_ops *real;
static void (*meanwhile)(struct bitmem *ctx, const char *addr);
static struct bitmem *context;

static void decommit(struct bm_backend *backend, const struct bm_range *range, size_t offset,
		     size_t length, struct bm_change *change)
{
	void (*first)(struct bitmem *ctx, const char *addr) = meanwhile;

	meanwhile = NULL;
	if (first)
		first(context, (const char *)range->addr + offset);
	real->decommit(backend, range, offset, length, change);
}

static char *segment_of(const void *ptr)
{
	return (char *)((uintptr_t)ptr & ~(SEGMENT - 1));
}

static void *firsts[2], *others[N], *taken;
static unsigned int nr_others;

/* The segment that is not looked at goes, and another pool gets its addresses. */
static void exchange(struct bitmem *ctx, const char *addr)
{
	void *gone = segment_of(firsts[0]) == segment_of(addr) ? firsts[1] : firsts[0];

	bitmem_free(ctx, gone);
	bm_lock(ctx);
	bm_pool_drop_empty(ctx, &ctx->pools[1]);
	bm_unlock(ctx);
	while (nr_others < N && !taken) {
		others[nr_others] = bitmem_alloc_in(ctx, 2, SIZE, 0);
		if (others[nr_others] == gone)
			taken = gone;
		nr_others++;
	}
}

TEST_F(lib, slab_becomes_another_pools)
{
	struct bm_backend_ops ops = *self->ctx->backend->ops;
	void *blocks[N];
	unsigned int n = 0;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	ASSERT_EQ(2, test_pool(self->ctx, test_node(0)));
	for (unsigned int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, SIZE, 0));
	for (unsigned int i = 0; i < N; i++) {
		if (blocks[i] == segment_of(blocks[i]) && n < 2)
			firsts[n++] = blocks[i];
		else
			EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
	ASSERT_EQ(2, n);
	real = self->ctx->backend->ops;
	ops.decommit = decommit;
	context = self->ctx;
	meanwhile = exchange;
	self->ctx->backend->ops = &ops;
	bm_lock(self->ctx);
	bm_pool_return(self->ctx, &self->ctx->pools[1], false);
	bm_unlock(self->ctx);
	self->ctx->backend->ops = real;
	ASSERT_NE(NULL, taken);
	/* What is the other's was left alone. */
	EXPECT_LT(0, test_usage(self->ctx, 2).free_slots);
	EXPECT_EQ(0, test_usage(self->ctx, 2).returned);
	EXPECT_NE(1, test_usage(self->ctx, BITMEM_ALL_POOLS).committed);
	EXPECT_EQ(0, bitmem_free(self->ctx, taken == firsts[0] ? firsts[1] : firsts[0]));
	for (unsigned int i = 0; i < nr_others; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, others[i]));
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

/* Bytes of this process's memory that is there and may not be paged out. */
static uint64_t locked_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long long kib;
	uint64_t bytes = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Locked: %llu", &kib) == 1)
			bytes += kib * 1024;
	}
	if (file)
		fclose(file);
	return bytes;
}

/* What is left of a segment is pinned when pieces of it are gone, huge pages or not. */
TEST_F(lib, the_rest_stays_pinned)
{
	const uint64_t before = locked_bytes();
	struct bitmem_stats stats;
	void *blocks[N];

	if (bitmem_backend(self->ctx) != BITMEM_BACKEND_MEMFD)
		SKIP(return, "the device's memory is always pinned");
	for (unsigned int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc(self->ctx, SIZE + 1, 0));
	for (unsigned int i = 0; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	if (!bitmem_trim(self->ctx))
		SKIP(goto out, "pages of hugetlbfs do not go in part");
	stats = test_stats(self->ctx);
	if (stats.pinned_bytes != stats.committed_bytes)
		SKIP(goto out, "RLIMIT_MEMLOCK is too small");
	EXPECT_EQ(stats.pinned_bytes, locked_bytes() - before);
out:
	for (unsigned int i = 1; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
}

/* Lines of a file; 0 if there is none. */
static unsigned long lines_of(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long n = 0;
	int c;

	while (file && (c = fgetc(file)) != EOF)
		n += c == '\n';
	if (file)
		fclose(file);
	return n;
}

static unsigned long mappings_max(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long n = 0;

	if (file && fscanf(file, "%lu", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n;
}

/* A trim makes so many holes at most that the process can still map something. */
TEST_F_TIMEOUT(lib, holes_are_limited, 120)
{
	const unsigned long max = mappings_max(), before = lines_of("/proc/self/maps");
	const size_t n = max / 2;
	void **blocks = calloc(n, sizeof(*blocks));

	if (!max || max > 200000)
		SKIP(free(blocks); return, "vm.max_map_count is %lu", max);
	ASSERT_NE(NULL, blocks);
	for (size_t i = 0; i < n; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc(self->ctx, 4096, 0));
	for (size_t i = 0; i < n; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	EXPECT_LT(0, bitmem_trim(self->ctx));
	EXPECT_GT(before + max / 3, lines_of("/proc/self/maps"));
	/* What comes back counts no more. */
	for (size_t i = 0; i < n; i += 2)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc(self->ctx, 4096, 0));
	for (size_t i = 0; i < n; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	free(blocks);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

TEST_HARNESS_MAIN
