/* SPDX-License-Identifier: GPL-2.0 */
/* Compaction: free memory goes back, contents stay, and only what was done is told. */
#include "lib_test.h"
#include "pools_test.h"

/* Larger than the library's, as of a caller that was compiled against a later version. */
struct later {
	struct bitmem_compacted done;
	uint64_t later;
};

static struct bitmem_compacted compact(struct bitmem *ctx)
{
	struct bitmem_compacted done = { .size = sizeof(done) };

	if (bitmem_compact(ctx, &done))
		memset(&done, 0xff, sizeof(done));
	return done;
}

TEST_F(lib, nothing)
{
	struct bitmem_compacted done = compact(self->ctx);

	EXPECT_EQ(0, done.returned + done.moved + done.freed);
	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	done = compact(self->ctx);
	EXPECT_EQ(0, done.returned + done.moved + done.freed);
	EXPECT_EQ(0, bitmem_compact(self->ctx, NULL));
}

TEST_F(lib, size)
{
	struct later later;

	memset(&later, 0xff, sizeof(later));
	later.done.size = sizeof(later);
	EXPECT_EQ(0, bitmem_compact(self->ctx, &later.done));
	EXPECT_EQ(sizeof(later), later.done.size);
	EXPECT_EQ(0, later.later);
	later.done.size = sizeof(later.done) - 1;
	EXPECT_EQ(-EINVAL, bitmem_compact(self->ctx, &later.done));
}

/* Defect 8: the second time there is nothing left to give back. */
TEST_F(lib, defect_8_true_bytes)
{
	enum { N = 256 };
	const size_t size = 40960;
	uint64_t before, after;
	struct bitmem_compacted done;
	unsigned char *blocks[N];

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < N; i++) {
		blocks[i] = bitmem_alloc_in(self->ctx, (unsigned int)i % 2, size, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], i, size);
	}
	for (int i = 0; i < N; i++) {
		if (i % 8 > 1)
			EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
	before = test_stats(self->ctx).committed_bytes;
	done = compact(self->ctx);
	after = test_stats(self->ctx).committed_bytes;
	EXPECT_EQ(before - after, done.returned);
	EXPECT_LE(size * N / 2, done.returned);
	EXPECT_LE(after, size * N / 4 + 2 * 4096);
	/* On memfd nothing is ever moved; on the device it is the module's to tell. */
	if (bitmem_backend(self->ctx) == BITMEM_BACKEND_MEMFD)
		EXPECT_EQ(0, done.moved + done.freed);
	done = compact(self->ctx);
	EXPECT_EQ(0, done.returned);
	for (int i = 0; i < N; i++) {
		if (i % 8 <= 1) {
			EXPECT_TRUE(test_all_are(blocks[i], (unsigned char)i, size));
			EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
		}
	}
	before = test_stats(self->ctx).committed_bytes;
	EXPECT_EQ(before, compact(self->ctx).returned);
	EXPECT_EQ(0, compact(self->ctx).returned);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

TEST_HARNESS_MAIN
