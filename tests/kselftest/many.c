// SPDX-License-Identifier: GPL-2.0
/*
 * Many buffers in one call: what is done is done up to the entry that fails, and
 * the caller is told how much that is.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>

#define COUNT	1000
#define ENTRY	sizeof(struct bitmem_alloc)

FIXTURE(many) {
	struct bt t;
	struct bitmem_pool_info before;
	struct bitmem_alloc *entries;	/* COUNT of them, before a page without access */
	uint32_t *ids;			/* likewise */
};

/* @length bytes that end where a page without access begins. */
static void *guarded(size_t length, size_t page)
{
	const size_t whole = (length + page - 1) / page * page;
	char *memory = mmap(NULL, whole + page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory + whole, page, PROT_NONE))
		return NULL;
	return memory + whole - length;
}

static void fill_in(struct bitmem_alloc *entry)
{
	*entry = (struct bitmem_alloc) {
		.size = sizeof(*entry), .length = 1, .node = BITMEM_NODE_ANY,
		.out_id = 0xdeadbeef, .out_offset = -1ull, .out_length = 7,
	};
}

FIXTURE_SETUP(many)
{
	const char *why = bt_begin(&self->t);
	int i;

	if (why)
		SKIP(return, "%s", why);
	self->entries = guarded(COUNT * ENTRY, self->t.page);
	self->ids = guarded(COUNT * sizeof(*self->ids), self->t.page);
	ASSERT_NE(NULL, self->entries);
	ASSERT_NE(NULL, self->ids);
	for (i = 0; i < COUNT; i++)
		fill_in(&self->entries[i]);
	ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
}

FIXTURE_TEARDOWN_PARENT(many)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Sets *@done to what the kernel wrote there, if it did. */
static int alloc_many(int fd, const void *entries, uint32_t count, uint32_t entry_size,
		      uint32_t *done)
{
	struct bitmem_alloc_many arg = {
		.size = sizeof(arg), .count = count, .out_done = -1u,
		.entries = (uintptr_t)entries, .entry_size = entry_size,
	};
	int err = bt_ioctl(fd, BITMEM_ALLOC_MANY, &arg);

	*done = arg.out_done;
	return err;
}

static int free_many(int fd, const uint32_t *ids, uint32_t count, uint32_t *done)
{
	struct bitmem_free_many arg = {
		.size = sizeof(arg), .count = count, .out_done = -1u, .ids = (uintptr_t)ids,
	};
	int err = bt_ioctl(fd, BITMEM_FREE_MANY, &arg);

	*done = arg.out_done;
	return err;
}

TEST_F(many, alloc_and_free)
{
	struct bitmem_pool_info now;
	uint32_t done;
	int i;

	for (i = 0; i < COUNT; i++) {
		self->entries[i].length = i % 5 * self->t.page + 1;
		snprintf((char *)self->entries[i].tag, BITMEM_TAG_LEN, "number %d", i);
	}
	ASSERT_EQ(0, alloc_many(self->t.fd, self->entries, COUNT, ENTRY, &done));
	EXPECT_EQ(COUNT, done);
	EXPECT_EQ(COUNT, bt_buffers(self->t.fd));
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(self->before.out_allocated + COUNT * 3 * self->t.page, now.out_allocated);
	for (i = 0; i < COUNT; i++) {
		const struct bitmem_alloc *entry = &self->entries[i];
		struct bitmem_query query;

		ASSERT_EQ(0, bt_query(self->t.fd, entry->out_id, 0, &query));
		EXPECT_EQ(query.out_offset, entry->out_offset);
		EXPECT_EQ(query.out_length, entry->out_length);
		EXPECT_EQ((i % 5 + 1) * self->t.page, entry->out_length);
		EXPECT_EQ(0, memcmp(query.out_tag, entry->tag, sizeof(query.out_tag)));
		self->ids[i] = entry->out_id;
	}
	ASSERT_EQ(0, free_many(self->t.fd, self->ids, COUNT, &done));
	EXPECT_EQ(COUNT, done);
	EXPECT_EQ(0, bt_buffers(self->t.fd));
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(self->before.out_allocated, now.out_allocated);
}

/* Entries further apart than they are long, and longer than the kernel knows. */
TEST_F(many, wide_entries)
{
	struct {
		struct bitmem_alloc arg;
		uint64_t more[6];
	} wide[8];
	uint32_t done;
	int i;

	for (i = 0; i < 8; i++) {
		memset(&wide[i], 0, sizeof(wide[i]));
		fill_in(&wide[i].arg);
		wide[i].arg.size = i & 1 ? sizeof(wide[i]) : ENTRY + 8;
		/* Beyond its size an entry is not looked at. */
		wide[i].more[5] = i & 1 ? 0 : 0x5555;
	}
	ASSERT_EQ(0, alloc_many(self->t.fd, wide, 8, sizeof(wide[0]), &done));
	EXPECT_EQ(8, done);
	EXPECT_EQ(8, bt_buffers(self->t.fd));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(i & 1 ? 0 : 0x5555, wide[i].more[5]);
		EXPECT_EQ(i & 1 ? sizeof(wide[i]) : ENTRY + 8, wide[i].arg.size);
		EXPECT_EQ(0, bt_free(self->t.fd, wide[i].arg.out_id));
		fill_in(&wide[i].arg);
		wide[i].arg.size = sizeof(wide[i]);
		wide[i].more[5] = 0;
	}
	wide[3].more[5] = 1;
	EXPECT_EQ(-E2BIG, alloc_many(self->t.fd, wide, 8, sizeof(wide[0]), &done));
	EXPECT_EQ(3, done);
	EXPECT_EQ(3, bt_buffers(self->t.fd));
}

/* A value of a member that makes an entry fail, and how. */
struct flaw {
	const char *what;
	int err;
	size_t offset;
	size_t size;
	uint64_t value;
};

#define FLAW(_what, _err, _member, _value)			\
	{							\
		.what = _what, .err = _err, .value = _value,	\
		.offset = offsetof(struct bitmem_alloc, _member),	\
		.size = sizeof(((struct bitmem_alloc *)NULL)->_member),	\
	}

static const struct flaw flaws[] = {
	FLAW("no length", -EINVAL, length, 0),
	FLAW("too much", -ENOMEM, length, 1ull << 60),
	FLAW("overflowing", -EOVERFLOW, length, -1ull),
	FLAW("strange flag", -EOPNOTSUPP, flags, 1u << 31),
	FLAW("reserved member", -EOPNOTSUPP, __reserved, 1),
	FLAW("no node", -EINVAL, node, -2u),
	FLAW("bound to any node", -EINVAL, flags, BITMEM_ALLOC_BIND),
	FLAW("too wide", -EINVAL, width, 65),
	FLAW("endless tag", -EINVAL, tag[BITMEM_TAG_LEN - 1], 't'),
	FLAW("no size", -EINVAL, size, 0),
	FLAW("short size", -EINVAL, size, ENTRY - 1),
	FLAW("longer than the distance", -EINVAL, size, ENTRY + 1),
	FLAW("huge size", -EINVAL, size, -1u),
};

TEST_F(many, entry_refused)
{
	const uint32_t places[] = { 0, 1, 7 };
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(flaws) * ARRAY_LEN(places); i++) {
		const struct flaw *flaw = &flaws[i / ARRAY_LEN(places)];
		const uint32_t at = places[i % ARRAY_LEN(places)];
		struct bitmem_alloc entries[8], copy;
		uint32_t done;

		for (j = 0; j < 8; j++)
			fill_in(&entries[j]);
		memcpy((char *)&entries[at] + flaw->offset, &flaw->value, flaw->size);
		copy = entries[at];
		EXPECT_EQ(flaw->err, alloc_many(self->t.fd, entries, 8, ENTRY, &done))
			TH_LOG("%s in entry %u", flaw->what, at);
		EXPECT_EQ(at, done);
		EXPECT_EQ(at, bt_buffers(self->t.fd));
		EXPECT_EQ(0, memcmp(&copy, &entries[at], sizeof(copy)));
		for (j = 0; j < at; j++)
			EXPECT_EQ(0, bt_free(self->t.fd, entries[j].out_id));
		for (j = at; j < 8; j++)
			EXPECT_EQ(0xdeadbeef, entries[j].out_id);
	}
}

TEST_F(many, array_refused)
{
	const uint32_t counts[] = { 0, BITMEM_MANY_MAX + 1, 1u << 31, -1u };
	const uint32_t sizes[] = { 0, 8, ENTRY - 8, ENTRY - 1, ENTRY + 1, ENTRY + 4, -1u };
	uint32_t done;
	size_t i;

	for (i = 0; i < ARRAY_LEN(counts); i++) {
		EXPECT_EQ(-EINVAL, alloc_many(self->t.fd, self->entries, counts[i], ENTRY, &done));
		EXPECT_EQ(0, done);
		EXPECT_EQ(-EINVAL, free_many(self->t.fd, self->ids, counts[i], &done));
		EXPECT_EQ(0, done);
	}
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		EXPECT_EQ(-EINVAL, alloc_many(self->t.fd, self->entries, 1, sizes[i], &done))
			TH_LOG("entry_size %u", sizes[i]);
		EXPECT_EQ(0, done);
	}
	EXPECT_EQ(-EOVERFLOW, alloc_many(self->t.fd, (void *)-64, 1, ENTRY, &done));
	EXPECT_EQ(-EOVERFLOW, free_many(self->t.fd, (void *)-64, 17, &done));
	EXPECT_EQ(0, bt_buffers(self->t.fd));
}

/* Where the array ends before its entries do, or cannot be had at all. */
TEST_F(many, bad_address)
{
	void *const bad[] = { NULL, (void *)8, (void *)(1ul << 55), (void *)-8192 };
	uint32_t done;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EFAULT, alloc_many(self->t.fd, bad[i], 2, ENTRY, &done));
		EXPECT_EQ(0, done);
		EXPECT_EQ(-EFAULT, free_many(self->t.fd, bad[i], 2, &done));
		EXPECT_EQ(0, done);
	}
	EXPECT_EQ(-EFAULT, alloc_many(self->t.fd, self->entries + COUNT - 3, 5, ENTRY, &done));
	EXPECT_EQ(3, done);
	for (i = 0; i < 3; i++)
		self->ids[COUNT - 3 + i] = self->entries[COUNT - 3 + i].out_id;
	EXPECT_EQ(-EFAULT, free_many(self->t.fd, self->ids + COUNT - 3, 5, &done));
	EXPECT_EQ(3, done);
	/* The second entry lies astride the border. */
	memmove((char *)self->entries + 8, self->entries, COUNT * ENTRY - 8);
	EXPECT_EQ(-EFAULT, alloc_many(self->t.fd, (char *)(self->entries + COUNT - 2) + 8, 2,
				      ENTRY, &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(1, bt_buffers(self->t.fd));
}

/* An entry that cannot be answered leaves no buffer. */
TEST_F(many, read_only_entry)
{
	struct bitmem_alloc *entries;
	const int n = self->t.page / ENTRY + 4;
	char *memory;
	uint32_t done;
	int i;

	memory = mmap(NULL, 2 * self->t.page, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	entries = (struct bitmem_alloc *)(memory + self->t.page % ENTRY);
	for (i = 0; i < n; i++)
		fill_in(&entries[i]);
	ASSERT_EQ(0, mprotect(memory + self->t.page, self->t.page, PROT_READ));
	EXPECT_EQ(-EFAULT, alloc_many(self->t.fd, entries, n, ENTRY, &done));
	EXPECT_EQ(self->t.page / ENTRY, done);
	EXPECT_EQ(self->t.page / ENTRY, bt_buffers(self->t.fd));
}

TEST_F(many, id_refused)
{
	uint32_t done;
	int i;

	ASSERT_EQ(0, alloc_many(self->t.fd, self->entries, 20, ENTRY, &done));
	for (i = 0; i < 20; i++)
		self->ids[i] = self->entries[i].out_id;
	self->ids[5] = 0;
	self->ids[10] = self->entries[6].out_id;
	self->ids[15] = UINT32_MAX;
	EXPECT_EQ(-ENOENT, free_many(self->t.fd, self->ids, 20, &done));
	EXPECT_EQ(5, done);
	EXPECT_EQ(-ENOENT, free_many(self->t.fd, self->ids + 6, 14, &done));
	EXPECT_EQ(4, done);
	EXPECT_EQ(-ENOENT, free_many(self->t.fd, self->ids + 11, 9, &done));
	EXPECT_EQ(4, done);
	EXPECT_EQ(0, free_many(self->t.fd, self->ids + 16, 4, &done));
	EXPECT_EQ(4, done);
	EXPECT_EQ(3, bt_buffers(self->t.fd));
}

/* As many as there may be; or as the pools can hold, and then ENOMEM. */
TEST_F_TIMEOUT(many, as_many_as_possible, 300)
{
	const size_t length = BITMEM_MANY_MAX * ENTRY;
	const uint64_t room = bt_free_bytes(&self->before) / self->t.page;
	struct bitmem_alloc *entries;
	uint32_t *ids, done, i;
	uint64_t began;

	entries = malloc(length);
	ids = malloc(BITMEM_MANY_MAX * sizeof(*ids));
	ASSERT_NE(NULL, entries);
	ASSERT_NE(NULL, ids);
	for (i = 0; i < BITMEM_MANY_MAX; i++)
		fill_in(&entries[i]);
	began = bt_now_ns();
	EXPECT_EQ(room < BITMEM_MANY_MAX ? -ENOMEM : 0,
		  alloc_many(self->t.fd, entries, BITMEM_MANY_MAX, ENTRY, &done));
	EXPECT_EQ(room < BITMEM_MANY_MAX ? room : BITMEM_MANY_MAX, done);
	TH_LOG("%u buffers in %llu ms", done,
	       (unsigned long long)(bt_now_ns() - began) / 1000000);
	for (i = 0; i < done; i++)
		ids[i] = entries[i].out_id;
	began = bt_now_ns();
	EXPECT_EQ(0, free_many(self->t.fd, ids, done, &done));
	TH_LOG("freed in %llu ms", (unsigned long long)(bt_now_ns() - began) / 1000000);
	EXPECT_EQ(0, bt_buffers(self->t.fd));
	free(entries);
	free(ids);
}

/* A process that is killed in the middle of a long call does not finish it first. */
TEST_F(many, killed)
{
	const size_t length = BITMEM_MANY_MAX * ENTRY;
	int round;

	for (round = 0; round < 8; round++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc *entries = malloc(length);
			uint32_t i, done;

			for (i = 0; entries && i < BITMEM_MANY_MAX; i++)
				fill_in(&entries[i]);
			for (;;) {
				int fd = bt_open();

				alloc_many(fd, entries, BITMEM_MANY_MAX, ENTRY, &done);
				close(fd);
			}
		}
		bt_sleep_ms(40 + 23 * round);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
}

struct racer {
	pthread_t thread;
	int fd;
	const uint32_t *ids;
	uint32_t freed;
	uint32_t wrong;
};

/* Frees what the others have left, one way and the other. */
static void *free_all(void *arg)
{
	struct racer *racer = arg;
	uint32_t at = 0, done;

	while (at < COUNT) {
		int err = free_many(racer->fd, racer->ids + at, COUNT - at, &done);

		racer->wrong += err && err != -ENOENT;
		racer->freed += done;
		at += done + !!err;
	}
	return NULL;
}

/* Each id goes once, whoever asks for it. */
TEST_F(many, race)
{
	struct racer racers[3];
	uint32_t done, freed = 0;
	size_t i, round;

	for (round = 0; round < 20; round++) {
		ASSERT_EQ(0, alloc_many(self->t.fd, self->entries, COUNT, ENTRY, &done));
		for (i = 0; i < COUNT; i++)
			self->ids[i] = self->entries[i].out_id;
		for (i = 0; i < ARRAY_LEN(racers); i++) {
			racers[i] = (struct racer) { .fd = self->t.fd, .ids = self->ids };
			ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, free_all,
						    &racers[i]));
		}
		for (i = 0; i < ARRAY_LEN(racers); i++) {
			ASSERT_EQ(0, pthread_join(racers[i].thread, NULL));
			EXPECT_EQ(0, racers[i].wrong);
			freed += racers[i].freed;
		}
		EXPECT_EQ(0, bt_buffers(self->t.fd));
	}
	EXPECT_EQ(20 * COUNT, freed);
}

BT_MAIN
