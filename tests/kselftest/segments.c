// SPDX-License-Identifier: GPL-2.0
/*
 * SEGMENTS: the physical addresses are those that the kernel tells root about the
 * mapping, neighbours are one segment, and from then on nothing of the buffer moves.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define MOST	4096
#define PFN	((1ull << 55) - 1)

FIXTURE(segments) {
	struct bt t;
	struct bitmem_segment *told;	/* room for MOST */
	uint32_t count;			/* of them */
};

FIXTURE_SETUP(segments)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	if (geteuid())
		SKIP(return, "needs root");
	self->told = calloc(MOST, sizeof(*self->told));
	ASSERT_NE(NULL, self->told);
}

FIXTURE_TEARDOWN_PARENT(segments)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Asks for all of a buffer, @step segments at a time. 0 or -errno. */
static int ask(FIXTURE_DATA(segments) *self, const struct bp *b, uint32_t step)
{
	struct bitmem_segments arg = {};
	int err;

	self->count = 0;
	do {
		arg.count = step < MOST - self->count ? step : MOST - self->count;
		arg.entries = (uintptr_t)(self->told + self->count);
		err = bt_segments(self->t.fd, b->alloc.out_id, arg.out_next, &arg);
		if (err)
			return err;
		self->count += arg.out_count;
		if (!arg.out_count || arg.out_count > step)
			return -EPROTO;
	} while (arg.out_next < b->length);
	return arg.out_next == b->length ? 0 : -EPROTO;
}

/* The physical address of a page, or 0. */
static uint64_t address_of(const void *page, size_t page_size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	bt_probe(page);
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / page_size * sizeof(entry)) !=
	    sizeof(entry))
		entry = 0;
	close(fd);
	return entry >> 63 ? (entry & PFN) * page_size : 0;
}

/* Compares what was told with the page tables, page by page. */
static void expect_true(struct __test_metadata *_metadata, FIXTURE_DATA(segments) *self,
			const struct bp *b)
{
	size_t at = 0;
	uint32_t i;

	for (i = 0; i < self->count; i++) {
		const struct bitmem_segment *s = &self->told[i];
		uint64_t done;

		ASSERT_NE(0, s->length);
		ASSERT_EQ(0, s->length % b->page);
		for (done = 0; done < s->length; done += b->page, at += b->page)
			ASSERT_EQ(s->address + done, address_of(b->memory + at, b->page));
		/* As long as possible. */
		if (i)
			EXPECT_NE(s->address, s[-1].address + s[-1].length);
	}
	EXPECT_EQ(b->length, at);
}

TEST_F(segments, superblocks)
{
	const size_t superblock = self->t.superblock;
	struct bitmem_query query;
	struct bp b;
	uint32_t i;

	ASSERT_EQ(0, bp_new(&b, &self->t, self->t.fd, 3 * superblock));
	ASSERT_EQ(0, bt_query(self->t.fd, b.alloc.out_id, 0, &query));
	EXPECT_EQ(0, query.out_flags & BITMEM_BUFFER_FIXED);
	ASSERT_EQ(0, ask(self, &b, MOST));
	EXPECT_GE(3, self->count);
	for (i = 0; i < self->count; i++)
		EXPECT_EQ(0, (self->told[i].address | self->told[i].length) % superblock);
	expect_true(_metadata, self, &b);
	ASSERT_EQ(0, bt_query(self->t.fd, b.alloc.out_id, 0, &query));
	EXPECT_EQ(BITMEM_BUFFER_FIXED, query.out_flags & BITMEM_BUFFER_FIXED);
}

/* Pages from here and there, in so many pieces that the kernel needs several rounds. */
static void scattered(struct __test_metadata *_metadata, FIXTURE_DATA(segments) *self,
		      struct bp *holes, struct bp *b)
{
	const size_t page = self->t.page, n = self->t.superblock / page * 4 / 5;
	struct bitmem_range range;
	size_t i;

	ASSERT_EQ(0, bp_new_on(holes, &self->t, self->t.fd, n * page,
			       self->t.before[0].out_node, BITMEM_ALLOC_BIND));
	for (i = 1; i < n; i += 2)
		ASSERT_EQ(0, bp_decommit(holes, i * page, page, &range));
	ASSERT_EQ(0, bp_new_on(b, &self->t, self->t.fd, n / 2 * page,
			       self->t.before[0].out_node, BITMEM_ALLOC_BIND));
}

TEST_F(segments, single_pages)
{
	const uint32_t steps[] = { MOST, 1, 2, 63, 64, 65, 100 };
	struct bitmem_segment *first;
	struct bp holes, b;
	uint32_t count;
	size_t i;

	scattered(_metadata, self, &holes, &b);
	ASSERT_EQ(0, ask(self, &b, MOST));
	EXPECT_LT(65, self->count);
	expect_true(_metadata, self, &b);
	count = self->count;
	first = self->told;
	self->told = calloc(MOST, sizeof(*self->told));
	ASSERT_NE(NULL, self->told);
	for (i = 0; i < ARRAY_LEN(steps); i++) {
		ASSERT_EQ(0, ask(self, &b, steps[i]));
		EXPECT_EQ(count, self->count);
		EXPECT_EQ(0, memcmp(first, self->told, count * sizeof(*first)));
	}
}

/* From the middle on; no room at all. */
TEST_F(segments, from_the_middle)
{
	const size_t page = self->t.page, middle = self->t.superblock / 2;
	struct bitmem_segment guard = { .address = 1, .length = 2 }, got[2] = { {}, guard };
	struct bitmem_segments arg = { .count = 1, .entries = (uintptr_t)got };
	struct bp b;

	ASSERT_EQ(0, bp_new(&b, &self->t, self->t.fd, self->t.superblock + page));
	ASSERT_EQ(0, bt_segments(self->t.fd, b.alloc.out_id, middle + page, &arg));
	EXPECT_EQ(1, arg.out_count);
	EXPECT_EQ(address_of(b.memory + middle + page, page), got[0].address);
	EXPECT_LE(middle - page, got[0].length);
	EXPECT_EQ(middle + page + got[0].length, arg.out_next);
	EXPECT_EQ(0, memcmp(&guard, &got[1], sizeof(guard)));
	arg.count = 0;
	ASSERT_EQ(0, bt_segments(self->t.fd, b.alloc.out_id, page, &arg));
	EXPECT_EQ(0, arg.out_count);
	EXPECT_EQ(page, arg.out_next);
}

/* Nothing moves or goes any more, for as long as it lives. */
TEST_F(segments, held_in_place)
{
	struct bitmem_segment *before;
	struct bitmem_migrate migrate;
	struct bitmem_compact compact;
	struct bitmem_range range;
	struct bp holes, b;
	uint32_t i;

	scattered(_metadata, self, &holes, &b);
	ASSERT_EQ(0, ask(self, &b, MOST));
	ASSERT_EQ(0, ask(self, &b, 3));
	before = self->told;
	self->told = calloc(MOST, sizeof(*self->told));
	ASSERT_NE(NULL, self->told);
	EXPECT_EQ(-EBUSY, bp_decommit(&b, 0, b.page, &range));
	for (i = 0; i < self->t.pools; i++) {
		EXPECT_EQ(-EBUSY, bt_migrate(self->t.fd, b.alloc.out_id,
					     self->t.before[i].out_node, &migrate));
		EXPECT_EQ(0, bt_compact(self->t.fd, i, 0, &compact));
	}
	ASSERT_EQ(0, ask(self, &b, MOST));
	EXPECT_EQ(0, memcmp(before, self->told, self->count * sizeof(*before)));
	EXPECT_EQ(0, bp_state(&b, 0, b.length, BP_INTACT));
	/* It can be freed like any other; the memory is as good as before. */
	ASSERT_EQ(0, bp_drop(&b));
	ASSERT_EQ(0, bp_drop(&holes));
	EXPECT_EQ(NULL, bt_end(&self->t));
}

TEST_F(segments, holes)
{
	const size_t page = self->t.page;
	struct bitmem_segment got[4];
	struct bitmem_segments arg = { .count = 4, .entries = (uintptr_t)got };
	struct bitmem_range range;
	struct bp b;

	ASSERT_EQ(0, bp_new(&b, &self->t, self->t.fd, 8 * page));
	ASSERT_EQ(0, bp_decommit(&b, 3 * page, page, &range));
	EXPECT_EQ(-ENXIO, bt_segments(self->t.fd, b.alloc.out_id, 0, &arg));
	EXPECT_EQ(-ENXIO, bt_segments(self->t.fd, b.alloc.out_id, 3 * page, &arg));
	/* It was not held in place by that. */
	ASSERT_EQ(0, bp_decommit(&b, 4 * page, page, &range));
	EXPECT_EQ(page, range.out_done);
	ASSERT_EQ(0, bp_commit(&b, 0, 8 * page, &range));
	EXPECT_EQ(0, bt_segments(self->t.fd, b.alloc.out_id, 0, &arg));
}

/* Takes one capability away from this process. */
static int drop_capability(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Physical addresses are for those who may touch hardware. */
TEST_F(segments, capability)
{
	struct bitmem_segment got;
	struct bitmem_segments arg = { .count = 1, .entries = (uintptr_t)&got };
	struct bitmem_range range;
	struct bp b;
	pid_t child;

	ASSERT_EQ(0, bp_new(&b, &self->t, self->t.fd, self->t.page));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (drop_capability(CAP_SYS_RAWIO))
			_exit(1);
		got.address = 0x77;
		if (bt_segments(b.fd, b.alloc.out_id, 0, &arg) != -EPERM)
			_exit(2);
		/* Not even whether there is such a buffer. */
		if (bt_segments(b.fd, b.alloc.out_id + 1, 0, &arg) != -EPERM)
			_exit(3);
		_exit(got.address == 0x77 ? 0 : 4);
	}
	EXPECT_EQ(0, bt_reap(child));
	/* Nor did the attempt hold it in place. */
	ASSERT_EQ(0, bp_decommit(&b, 0, b.length, &range));
	EXPECT_EQ(self->t.page, range.out_done);
}

TEST_F(segments, errors)
{
	const size_t page = self->t.page;
	const uint64_t wrong[] = { 1, page / 2, 4 * page, 5 * page, 1ull << 63, -page };
	struct bitmem_segment got[2];
	struct bitmem_segments arg, good = {
		.size = sizeof(good), .count = 2, .entries = (uintptr_t)got,
	};
	struct bp b;
	size_t i;

	ASSERT_EQ(0, bp_new(&b, &self->t, self->t.fd, 4 * page));
	good.id = b.alloc.out_id;
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		arg = good;
		EXPECT_EQ(-EINVAL, bt_segments(self->t.fd, good.id, wrong[i], &arg));
	}
	for (i = 0; i < 32; i++) {
		arg = good;
		arg.flags = 1u << i;
		EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, BITMEM_SEGMENTS, &arg));
	}
	arg = good;
	EXPECT_EQ(-ENOENT, bt_segments(self->t.fd, 0, 0, &arg));
	EXPECT_EQ(-ENOENT, bt_segments(self->t.fd, good.id + 1, 0, &arg));
	arg.entries = 8;
	EXPECT_EQ(-EFAULT, bt_segments(self->t.fd, good.id, 0, &arg));
	arg.entries = UINT64_MAX - 7;
	EXPECT_EQ(-EFAULT, bt_segments(self->t.fd, good.id, 0, &arg));
	arg = good;
	arg.size = offsetof(struct bitmem_segments, out_next);
	EXPECT_EQ(-EINVAL, bt_ioctl(self->t.fd, BITMEM_SEGMENTS, &arg));
	EXPECT_EQ(0, bt_segments(self->t.fd, good.id, 3 * page, &good));
	EXPECT_EQ(4 * page, good.out_next);
}

BT_MAIN
