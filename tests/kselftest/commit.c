// SPDX-License-Identifier: GPL-2.0
/*
 * COMMIT and DECOMMIT by one process: what they say they did, what the counters
 * say, and what the mapping shows: SIGBUS where memory is gone and only there,
 * zeros where it came back, and everything else as it was. Errors and shortage are
 * in commit_error.c, pins, sharers and threads in commit_share.c.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

FIXTURE(commit) {
	struct bt t;
	struct bp b;
	struct bitmem_pool_info before;		/* without the buffer */
};

/* Three whole superblocks and a tail, full of the pattern. */
FIXTURE_SETUP(commit)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
	ASSERT_EQ(0, bp_new(&self->b, &self->t, self->t.fd, 3 * self->t.superblock +
			    21 * self->t.page));
}

FIXTURE_TEARDOWN_PARENT(commit)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Every counter says that the file's one buffer has @bytes. */
static void expect_resident(struct __test_metadata *_metadata, FIXTURE_DATA(commit) *self,
			    uint64_t bytes)
{
	struct bitmem_pool_info now;
	struct bitmem_query query;
	struct bitmem_limit limit;

	ASSERT_EQ(0, bt_query(self->t.fd, self->b.alloc.out_id, 0, &query));
	EXPECT_EQ(bytes, query.out_resident);
	EXPECT_EQ(self->b.length, query.out_length);
	ASSERT_EQ(0, bt_limit(self->t.fd, BITMEM_NO_LIMIT, &limit));
	EXPECT_EQ(bytes, limit.out_used);
	EXPECT_EQ(bytes, bt_fdinfo(self->t.fd, "bitmem-bytes"));
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(self->before.out_allocated + bytes, now.out_allocated);
	EXPECT_EQ(self->before.out_quarantined, now.out_quarantined);
}

static void decommit(struct __test_metadata *_metadata, FIXTURE_DATA(commit) *self,
		     size_t offset, size_t length, uint64_t done)
{
	struct bitmem_range range;

	ASSERT_EQ(0, bp_decommit(&self->b, offset, length, &range));
	EXPECT_EQ(done, range.out_done);
	EXPECT_EQ(0, range.out_skipped);
	EXPECT_EQ(0, range.out_promoted);
}

static void commit(struct __test_metadata *_metadata, FIXTURE_DATA(commit) *self,
		   size_t offset, size_t length, uint64_t done, uint64_t promoted)
{
	struct bitmem_range range;

	ASSERT_EQ(0, bp_commit(&self->b, offset, length, &range));
	EXPECT_EQ(done, range.out_done);
	EXPECT_EQ(0, range.out_skipped);
	EXPECT_EQ(promoted, range.out_promoted);
}

TEST_F(commit, whole_superblock)
{
	const size_t superblock = self->t.superblock, length = self->b.length;
	struct bitmem_pool_info now;

	expect_resident(_metadata, self, length);
	decommit(_metadata, self, superblock, superblock, superblock);
	expect_resident(_metadata, self, length - superblock);
	EXPECT_EQ(0, bp_state(&self->b, 0, superblock, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, superblock, superblock, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, 2 * superblock, length - 2 * superblock, BP_INTACT));
	commit(_metadata, self, superblock, superblock, superblock, 0);
	expect_resident(_metadata, self, length);
	EXPECT_EQ(0, bp_state(&self->b, 0, superblock, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, superblock, superblock, BP_ZERO));
	EXPECT_EQ(0, bp_state(&self->b, 2 * superblock, length - 2 * superblock, BP_INTACT));
	/* Nothing had to move, and the superblock is mapped as one at once. */
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(self->before.out_moved, now.out_moved);
	EXPECT_EQ(3 * superblock / 1024, bt_smaps(self->b.memory, "FilePmdMapped"));
}

/* Part of a superblock, at its beginning, in its middle and at its end: demotion. */
TEST_F(commit, part_of_a_superblock)
{
	const size_t superblock = self->t.superblock, page = self->t.page;
	const size_t starts[] = { superblock, superblock + 100 * page, 2 * superblock - 5 * page };
	const size_t length = self->b.length, part = 5 * page, end = 2 * superblock;
	struct bitmem_pool_info now;
	size_t i;

	for (i = 0; i < ARRAY_LEN(starts); i++) {
		const size_t at = starts[i];

		ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
		self->before.out_allocated -= length;
		decommit(_metadata, self, at, part, part);
		expect_resident(_metadata, self, length - part);
		EXPECT_EQ(0, bp_state(&self->b, 0, at, BP_INTACT));
		EXPECT_EQ(0, bp_state(&self->b, at, part, BP_GONE));
		EXPECT_EQ(0, bp_state(&self->b, at + part, length - at - part, BP_INTACT));
		ASSERT_EQ(0, bt_total(self->t.fd, &now));
		EXPECT_EQ(self->before.out_moved + superblock - part, now.out_moved);

		commit(_metadata, self, at, part, part, superblock);
		expect_resident(_metadata, self, length);
		EXPECT_EQ(0, bp_state(&self->b, 0, at, BP_INTACT));
		EXPECT_EQ(0, bp_state(&self->b, at, part, BP_ZERO));
		EXPECT_EQ(0, bp_state(&self->b, at + part, length - at - part, BP_INTACT));
		ASSERT_EQ(0, bt_total(self->t.fd, &now));
		EXPECT_EQ(self->before.out_moved + 2 * superblock - part, now.out_moved);
		bp_fill(&self->b, at, part);
	}
	EXPECT_EQ(0, bp_state(&self->b, end, length - end, BP_INTACT));
}

/* The large mapping comes back when a promoted range is mapped anew. */
TEST_F(commit, promoted_and_mapped_anew)
{
	const size_t superblock = self->t.superblock, page = self->t.page;
	char *middle = self->b.memory + superblock;

	ASSERT_EQ(3 * superblock / 1024, bt_smaps(self->b.memory, "FilePmdMapped"));
	decommit(_metadata, self, superblock + 7 * page, page, page);
	EXPECT_EQ(0, bp_state(&self->b, superblock, 7 * page, BP_INTACT));
	EXPECT_EQ(2 * superblock / 1024, bt_smaps(self->b.memory, "FilePmdMapped"));
	commit(_metadata, self, superblock + 7 * page, page, page, superblock);
	bp_fill(&self->b, superblock + 7 * page, page);
	ASSERT_EQ(middle, mmap(middle, superblock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       self->t.fd, self->b.alloc.out_offset + superblock));
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
	EXPECT_EQ(superblock / 1024, bt_smaps(middle, "FilePmdMapped"));
}

TEST_F(commit, tail)
{
	const size_t page = self->t.page, length = self->b.length, tail = 3 * self->t.superblock;

	decommit(_metadata, self, tail + 3 * page, 2 * page, 2 * page);
	expect_resident(_metadata, self, length - 2 * page);
	EXPECT_EQ(0, bp_state(&self->b, 0, tail + 3 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, tail + 3 * page, 2 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, tail + 5 * page, 16 * page, BP_INTACT));
	/* The rest of it, what is gone already included. */
	decommit(_metadata, self, tail, 21 * page, 19 * page);
	expect_resident(_metadata, self, tail);
	EXPECT_EQ(0, bp_state(&self->b, 0, tail, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, tail, 21 * page, BP_GONE));
	commit(_metadata, self, tail + 20 * page, page, page, 0);
	EXPECT_EQ(0, bp_state(&self->b, tail, 20 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, tail + 20 * page, page, BP_ZERO));
	/* A tail is no superblock, however full. */
	commit(_metadata, self, tail, 21 * page, 20 * page, 0);
	expect_resident(_metadata, self, length);
	EXPECT_EQ(0, bp_state(&self->b, tail, 21 * page, BP_ZERO));
}

/* From the middle of one superblock to the middle of the next but one. */
TEST_F(commit, across_superblocks)
{
	const size_t superblock = self->t.superblock, page = self->t.page;
	const size_t from = superblock - 9 * page, to = 2 * superblock + 30 * page;

	decommit(_metadata, self, from, to - from, to - from);
	expect_resident(_metadata, self, self->b.length - (to - from));
	EXPECT_EQ(0, bp_state(&self->b, 0, from, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, from, to - from, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, to, self->b.length - to, BP_INTACT));
	/* The one in the middle comes back whole, the other two are promoted. */
	commit(_metadata, self, 0, self->b.length, to - from, 2 * superblock);
	expect_resident(_metadata, self, self->b.length);
	EXPECT_EQ(0, bp_state(&self->b, 0, from, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, from, to - from, BP_ZERO));
	EXPECT_EQ(0, bp_state(&self->b, to, self->b.length - to, BP_INTACT));
}

/* Once more changes nothing. */
TEST_F(commit, idempotent)
{
	const size_t length = self->b.length, page = self->t.page;
	int i;

	commit(_metadata, self, 0, length, 0, 0);
	expect_resident(_metadata, self, length);
	EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_INTACT));
	decommit(_metadata, self, 0, length, length);
	for (i = 0; i < 3; i++) {
		expect_resident(_metadata, self, 0);
		EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_GONE));
		decommit(_metadata, self, i * page, length - i * page, 0);
	}
	commit(_metadata, self, 0, length, length, 0);
	for (i = 0; i < 3; i++) {
		expect_resident(_metadata, self, length);
		EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_ZERO));
		commit(_metadata, self, i * page, length - i * page, 0, 0);
	}
}

/* A superblock emptied page by page, and filled page by page in another order. */
TEST_F(commit, page_by_page)
{
	const size_t superblock = self->t.superblock, page = self->t.page;
	const size_t n = superblock / page;
	size_t i;

	for (i = 0; i < n; i++) {
		decommit(_metadata, self, superblock + i * page, page, page);
		EXPECT_EQ(SIGBUS, bt_probe(self->b.memory + superblock + i * page));
		if (i + 1 < n)
			EXPECT_EQ(0, bt_probe(self->b.memory + superblock + (i + 1) * page));
	}
	expect_resident(_metadata, self, self->b.length - superblock);
	EXPECT_EQ(0, bp_state(&self->b, 0, superblock, BP_INTACT));
	for (i = 0; i < n; i++) {
		const size_t at = superblock + i * 5 % n * page;

		/* The last one makes it whole. */
		commit(_metadata, self, at, page, page, i + 1 < n ? 0 : superblock);
		EXPECT_EQ(0, bp_state(&self->b, at, page, BP_ZERO));
		bp_fill(&self->b, at, page);
	}
	expect_resident(_metadata, self, self->b.length);
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
}

/* Any range after any other: a list of what is there tells what must come of it. */
TEST_F_TIMEOUT(commit, random, 300)
{
	const size_t page = self->t.page, n = self->b.length / page;
	const unsigned int rounds = bt_rounds(150);
	bool there[n];
	unsigned int seed = 7, i;

	memset(there, true, n);
	for (i = 0; i < rounds; i++) {
		const size_t from = rand_r(&seed) % n, some = 1 + rand_r(&seed) % (n - from);
		const size_t to = from + (rand_r(&seed) & 1 ? some : 1 + some % 9);
		const size_t end = to < n ? to : n;
		bool add = rand_r(&seed) & 1;
		struct bitmem_range range;
		size_t at, changed = 0;

		for (at = from; at < end; at++)
			changed += there[at] != add;
		ASSERT_EQ(0, bt_range(self->t.fd, add ? BITMEM_COMMIT : BITMEM_DECOMMIT,
				      self->b.alloc.out_id, from * page, (end - from) * page,
				      &range));
		ASSERT_EQ(changed * page, range.out_done);
		ASSERT_EQ(0, range.out_skipped);
		for (at = from; at < end; at++) {
			if (add && !there[at]) {
				ASSERT_EQ(0, bp_state(&self->b, at * page, page, BP_ZERO));
				bp_fill(&self->b, at * page, page);
			}
			there[at] = add;
		}
	}
	for (i = 0; i < n; i++)
		EXPECT_EQ(0, bp_state(&self->b, i * page, page, there[i] ? BP_INTACT : BP_GONE));
}

/* A buffer that goes while parts of it are gone; and one that has nothing at all. */
TEST_F(commit, freed_with_holes)
{
	const size_t superblock = self->t.superblock;

	decommit(_metadata, self, superblock / 2, superblock, superblock);
	ASSERT_EQ(0, munmap(self->b.memory, self->b.length));
	ASSERT_EQ(0, bt_free(self->t.fd, self->b.alloc.out_id));
	EXPECT_EQ(NULL, bt_end(&self->t));
	ASSERT_EQ(0, bp_new(&self->b, &self->t, self->t.fd, superblock + self->t.page));
	decommit(_metadata, self, 0, self->b.length, self->b.length);
	EXPECT_EQ(NULL, bt_end(&self->t));
	ASSERT_EQ(0, bt_free(self->t.fd, self->b.alloc.out_id));
	/* The mapping that is left still knows what is gone. */
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_GONE));
}

/* What mmap() at offset 0 makes is a buffer like any other. */
TEST_F(commit, anonymous)
{
	const size_t length = self->t.superblock + 2 * self->t.page;
	char *memory = bt_map(self->t.fd, length, 0);
	struct bitmem_range range;
	struct bitmem_query query;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, bt_query(self->t.fd, self->b.alloc.out_id, BITMEM_QUERY_NEXT, &query));
	ASSERT_EQ(0, bt_range(self->t.fd, BITMEM_DECOMMIT, query.out_id, self->t.page,
			      self->t.page, &range));
	EXPECT_EQ(self->t.page, range.out_done);
	EXPECT_EQ(SIGBUS, bt_probe(memory + self->t.page));
	EXPECT_EQ(0, bt_probe(memory + 2 * self->t.page));
	ASSERT_EQ(0, munmap(memory, length));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, query.out_id, 0, &query));
}

BT_MAIN
