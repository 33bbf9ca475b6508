// SPDX-License-Identifier: GPL-2.0
/*
 * COMMIT and DECOMMIT refused, and in want of memory: every errno, with nothing
 * changed; all or nothing; and a pool without a free page, which can be given
 * single pages back all the same.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

FIXTURE(commit_error) {
	struct bt t;
	struct bp b;
};

FIXTURE_SETUP(commit_error)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bp_new(&self->b, &self->t, self->t.fd, 2 * self->t.superblock +
			    9 * self->t.page));
}

FIXTURE_TEARDOWN_PARENT(commit_error)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static uint64_t resident(const struct bp *b)
{
	struct bitmem_query query;

	return bt_query(b->fd, b->alloc.out_id, 0, &query) ? UINT64_MAX : query.out_resident;
}

/* Takes all that is free; frees nothing. */
static int take_the_rest(int fd, struct bitmem_alloc *rest)
{
	struct bitmem_pool_info now;
	int err = bt_total(fd, &now);

	return err ?: bt_alloc(fd, bt_free_bytes(&now), rest);
}

TEST_F(commit_error, ranges)
{
	const uint64_t page = self->t.page, length = self->b.length;
	const struct {
		uint64_t offset, length;
	} wrong[] = {
		{ 0, 0 }, { page, 0 }, { length, 0 },
		{ 1, page }, { page / 2, page }, { 0, page - 1 }, { 0, page + 1 }, { 8, 8 },
		{ 0, length + page }, { page, length }, { length, page },
		{ length - page, 2 * page },
		{ 1ull << 62, page }, { -page, page }, { -page, 2 * page }, { page, -page },
		{ -length, length }, { 0, -page }, { 1ull << 63, 1ull << 63 },
	};
	struct bitmem_range range;
	size_t i;

	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		EXPECT_EQ(-EINVAL, bp_decommit(&self->b, wrong[i].offset, wrong[i].length, &range))
			TH_LOG("%zu", i);
		EXPECT_EQ(-EINVAL, bp_commit(&self->b, wrong[i].offset, wrong[i].length, &range))
			TH_LOG("%zu", i);
	}
	EXPECT_EQ(length, resident(&self->b));
	EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_INTACT));
}

TEST_F(commit_error, arguments)
{
	const unsigned long cmds[] = { BITMEM_COMMIT, BITMEM_DECOMMIT };
	const uint32_t ids[] = { 0, self->b.alloc.out_id + 1, INT32_MAX, UINT32_MAX };
	struct bitmem_range range, good = {
		.size = sizeof(range), .id = self->b.alloc.out_id, .length = self->t.page,
	};
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		for (j = 0; j < 32; j++) {
			range = good;
			range.flags = 1u << j;
			EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, cmds[i], &range));
			range = good;
			range.__reserved = 1u << j;
			EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, cmds[i], &range));
		}
		for (j = 0; j < ARRAY_LEN(ids); j++) {
			range = good;
			range.id = ids[j];
			EXPECT_EQ(-ENOENT, bt_ioctl(self->t.fd, cmds[i], &range));
		}
		range = good;
		range.size = offsetof(struct bitmem_range, out_promoted);
		EXPECT_EQ(-EINVAL, bt_ioctl(self->t.fd, cmds[i], &range));
	}
	EXPECT_EQ(self->b.length, resident(&self->b));
	ASSERT_EQ(0, bp_drop(&self->b));
	for (i = 0; i < ARRAY_LEN(cmds); i++)
		EXPECT_EQ(-ENOENT, bt_ioctl(self->t.fd, cmds[i], &good));
}

/* Whoever may only read a buffer gives nothing of it away. */
TEST_F(commit_error, read_only)
{
	struct bitmem_attach attach;
	struct bitmem_range range;
	int other = bt_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_publish(self->t.fd, self->b.alloc.out_id, "commit", 0600));
	ASSERT_EQ(0, bt_attach(other, BITMEM_UID_SELF, "commit", BITMEM_ATTACH_READONLY, &attach));
	EXPECT_EQ(-EACCES, bt_range(other, BITMEM_DECOMMIT, attach.out_id, 0, self->t.page,
				    &range));
	EXPECT_EQ(-EACCES, bt_range(other, BITMEM_COMMIT, attach.out_id, 0, self->t.page, &range));
	EXPECT_EQ(self->b.length, resident(&self->b));
	ASSERT_EQ(0, bt_free(other, attach.out_id));
	/* Whoever may write may do this, too; it is charged to the owner as ever. */
	ASSERT_EQ(0, bt_attach(other, BITMEM_UID_SELF, "commit", 0, &attach));
	EXPECT_EQ(0, bt_range(other, BITMEM_DECOMMIT, attach.out_id, 0, self->t.page, &range));
	EXPECT_EQ(self->b.length - self->t.page, bt_fdinfo(self->t.fd, "bitmem-bytes"));
	EXPECT_EQ(SIGBUS, bt_probe(self->b.memory));
	EXPECT_EQ(0, bt_range(other, BITMEM_COMMIT, attach.out_id, 0, self->t.page, &range));
	EXPECT_EQ(self->b.length, bt_fdinfo(self->t.fd, "bitmem-bytes"));
	EXPECT_EQ(0, bt_fdinfo(other, "bitmem-bytes"));
	close(other);
}

/* Held in place as a whole: nothing goes, and what is asked to come is there. */
TEST_F(commit_error, held_in_place)
{
	struct bitmem_segments segments = { .count = 0 };
	struct bitmem_range range;
	int err = bt_segments(self->t.fd, self->b.alloc.out_id, 0, &segments);

	if (err == -EPERM)
		SKIP(return, "needs CAP_SYS_RAWIO");
	ASSERT_EQ(0, err);
	EXPECT_EQ(-EBUSY, bp_decommit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(-EBUSY, bp_decommit(&self->b, self->t.page, self->t.page, &range));
	EXPECT_EQ(0, bp_commit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(0, range.out_done);
	EXPECT_EQ(self->b.length, resident(&self->b));
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
}

/* One page less than is wanted is as good as none. */
TEST_F(commit_error, all_or_nothing)
{
	const size_t page = self->t.page, tail = 2 * self->t.superblock;
	struct bitmem_pool_info before, now;
	struct bitmem_alloc rest, more;
	struct bitmem_range range;

	ASSERT_EQ(0, take_the_rest(self->t.fd, &rest));
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 1, &more));
	ASSERT_EQ(0, bp_decommit(&self->b, tail + page, 7 * page, &range));
	ASSERT_EQ(7 * page, range.out_done);
	ASSERT_EQ(0, bt_alloc(self->t.fd, 2 * page, &more));
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	EXPECT_EQ(5 * page, bt_free_bytes(&before));

	EXPECT_EQ(-ENOMEM, bp_commit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(-ENOMEM, bp_commit(&self->b, tail + page, 6 * page, &range));
	EXPECT_EQ(self->b.length - 7 * page, resident(&self->b));
	EXPECT_EQ(0, bp_state(&self->b, tail + page, 7 * page, BP_GONE));
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(before.out_allocated, now.out_allocated);
	EXPECT_EQ(bt_free_bytes(&before), bt_free_bytes(&now));
	EXPECT_LT(before.out_failures, now.out_failures);

	/* What is there can be had. */
	EXPECT_EQ(0, bp_commit(&self->b, tail + 2 * page, 5 * page, &range));
	EXPECT_EQ(5 * page, range.out_done);
	EXPECT_EQ(0, bp_state(&self->b, tail + 2 * page, 5 * page, BP_ZERO));
	EXPECT_EQ(-ENOMEM, bp_commit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(0, bt_free(self->t.fd, more.out_id));
	EXPECT_EQ(0, bp_commit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(2 * page, range.out_done);
	EXPECT_EQ(0, bp_state(&self->b, 0, tail + page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, tail + page, 7 * page, BP_ZERO));
	EXPECT_EQ(0, bp_state(&self->b, tail + 8 * page, page, BP_INTACT));
}

/* The same for a whole superblock that another one has got meanwhile. */
TEST_F(commit_error, superblock_taken)
{
	struct bitmem_alloc rest, more;
	struct bitmem_range range;

	ASSERT_EQ(0, take_the_rest(self->t.fd, &rest));
	ASSERT_EQ(0, bp_decommit(&self->b, 0, self->t.superblock, &range));
	ASSERT_EQ(self->t.superblock, range.out_done);
	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &more));
	EXPECT_EQ(-ENOMEM, bp_commit(&self->b, 0, self->t.superblock, &range));
	EXPECT_EQ(self->b.length - self->t.superblock, resident(&self->b));
	/* It was taken apart for that page; the rest of it serves one by one. */
	EXPECT_EQ(0, bp_commit(&self->b, self->t.page, self->t.superblock - self->t.page, &range));
	EXPECT_EQ(self->t.superblock - self->t.page, range.out_done);
	EXPECT_EQ(SIGBUS, bt_probe(self->b.memory));
	EXPECT_EQ(0, bp_state(&self->b, self->t.page, self->t.superblock - self->t.page, BP_ZERO));
}

/* What was asked for in one piece comes and goes in one piece. */
TEST_F(commit_error, one_piece)
{
	const size_t page = self->t.page;
	struct bitmem_range range;
	struct bp one;

	ASSERT_EQ(0, bp_new_on(&one, &self->t, self->t.fd, 3 * page, BITMEM_NODE_ANY,
			       BITMEM_ALLOC_CONTIG));
	EXPECT_EQ(-EINVAL, bp_decommit(&one, 0, page, &range));
	EXPECT_EQ(0, bp_state(&one, 0, one.length, BP_INTACT));
	ASSERT_EQ(0, bp_decommit(&one, 0, one.length, &range));
	EXPECT_EQ(one.length, range.out_done);
	EXPECT_EQ(-EINVAL, bp_commit(&one, 0, page, &range));
	EXPECT_EQ(-EINVAL, bp_commit(&one, page, one.length - page, &range));
	EXPECT_EQ(0, bp_state(&one, 0, one.length, BP_GONE));
	ASSERT_EQ(0, bp_commit(&one, 0, one.length, &range));
	EXPECT_EQ(one.length, range.out_done);
	EXPECT_EQ(0, bp_state(&one, 0, one.length, BP_ZERO));
	EXPECT_EQ(0, bp_drop(&one));
}

/* With every page of the pool in a buffer, the system lends what a demotion needs. */
TEST_F(commit_error, pool_exhausted)
{
	const size_t page = self->t.page, superblock = self->t.superblock;
	struct bitmem_pool_info before, now;
	struct bitmem_alloc rest, more;
	struct bitmem_range range;

	ASSERT_EQ(0, take_the_rest(self->t.fd, &rest));
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, bt_free_bytes(&before));
	ASSERT_EQ(0, bp_decommit(&self->b, superblock + 3 * page, 6 * page, &range));
	EXPECT_EQ(6 * page, range.out_done);
	EXPECT_EQ(0, range.out_skipped);
	/* What was lent is nobody else's. */
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, superblock, &more));
	EXPECT_EQ(0, bp_state(&self->b, 0, superblock + 3 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, superblock + 3 * page, 6 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, superblock + 9 * page, superblock, BP_INTACT));
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(before.out_allocated - 6 * page, now.out_allocated);
	/* And gets it back: the superblock. The pages are somebody else's to have. */
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_capacity, before.out_capacity, 5000));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 2 * page, &more));
	EXPECT_EQ(-ENOMEM, bp_commit(&self->b, superblock, superblock, &range));
	ASSERT_EQ(0, bt_free(self->t.fd, more.out_id));
	/* Complete again, but there is no superblock to make it whole. */
	EXPECT_EQ(0, bp_commit(&self->b, superblock, superblock, &range));
	EXPECT_EQ(6 * page, range.out_done);
	EXPECT_EQ(0, range.out_promoted);
	EXPECT_EQ(0, bp_state(&self->b, superblock, 3 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, superblock + 3 * page, 6 * page, BP_ZERO));
	/* Until there is one. */
	ASSERT_EQ(0, bt_free(self->t.fd, rest.out_id));
	EXPECT_EQ(0, bp_commit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(0, range.out_done);
	EXPECT_EQ(superblock, range.out_promoted);
	EXPECT_EQ(0, bp_state(&self->b, superblock + 9 * page, superblock, BP_INTACT));
}

/* A file's limit counts what its buffers have, not what they might. */
TEST_F(commit_error, limit)
{
	const size_t page = self->t.page;
	struct bitmem_range range;
	struct bitmem_limit limit;
	struct bitmem_alloc more;

	ASSERT_EQ(0, bt_limit(self->t.fd, self->b.length, &limit));
	EXPECT_EQ(self->b.length, limit.out_used);
	EXPECT_EQ(-EDQUOT, bt_alloc(self->t.fd, page, &more));
	ASSERT_EQ(0, bp_decommit(&self->b, 0, 4 * page, &range));
	ASSERT_EQ(0, bt_limit(self->t.fd, BITMEM_NO_LIMIT, &limit));
	EXPECT_EQ(self->b.length, limit.out_limit);
	EXPECT_EQ(self->b.length - 4 * page, limit.out_used);
	EXPECT_EQ(-EDQUOT, bt_alloc(self->t.fd, 5 * page, &more));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 2 * page, &more));
	EXPECT_EQ(-EDQUOT, bp_commit(&self->b, 0, 4 * page, &range));
	EXPECT_EQ(-EDQUOT, bp_commit(&self->b, page, 3 * page, &range));
	EXPECT_EQ(0, bp_state(&self->b, 0, 4 * page, BP_GONE));
	EXPECT_EQ(0, bp_commit(&self->b, page, 2 * page, &range));
	EXPECT_EQ(2 * page, range.out_done);
	ASSERT_EQ(0, bt_free(self->t.fd, more.out_id));
	EXPECT_EQ(0, bp_commit(&self->b, 0, self->b.length, &range));
	EXPECT_EQ(2 * page, range.out_done);
	ASSERT_EQ(0, bt_limit(self->t.fd, BITMEM_NO_LIMIT, &limit));
	EXPECT_EQ(self->b.length, limit.out_used);
	/* Below what is there already: nothing is taken away, nothing is given. */
	ASSERT_EQ(0, bt_limit(self->t.fd, page, &limit));
	EXPECT_EQ(0, bp_commit(&self->b, 0, self->b.length, &range));
	ASSERT_EQ(0, bp_decommit(&self->b, 0, page, &range));
	EXPECT_EQ(-EDQUOT, bp_commit(&self->b, 0, page, &range));
}

BT_MAIN
