/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kselftests of /dev/bitmem share: the ioctls as functions, patterns,
 * and the rule every test is held to: the counters of every pool are the same
 * after it as before it.
 *
 * That rule needs the device for oneself. BT_MAIN takes an exclusive flock() on
 * /dev for the whole program, so that any number of test programs may be
 * started at once; whoever else uses the device meanwhile takes the same lock
 * shared or exclusive (from a shell: flock /dev PROGRAM).
 *
 * Functions return 0 or a negative errno unless they say otherwise. They report
 * nothing themselves: bitmem_test.c and bitmem_util.c are compiled without the
 * harness, whose header may be included once in a program.
 */
#ifndef BITMEM_TEST_H
#define BITMEM_TEST_H

#include <linux/bitmem.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BT_DEVICE	"/dev/bitmem"
#define BT_POOLS	16
#define BT_MIB		(1024ul * 1024)

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/**
 * struct bt - what a test knows of the device
 * @fd: a file of its own
 * @before: every pool's counters when the test began
 */
struct bt {
	int fd;
	size_t page;
	size_t superblock;
	size_t pmd;
	uint32_t pools;
	uint32_t nodes;
	struct bitmem_pool_info before[BT_POOLS];
	/* By less than this a pool's capacity, and what is free, may differ in the end; 0: not at all. */
	uint64_t slack;
};

/** bt_lock() - be the only test program on the device until this process ends. */
void bt_lock(void);

/**
 * bt_begin() - open the device, wait for its pools to be at rest, note the counters.
 * Returns NULL, or the reason why there is nothing to test.
 */
const char *bt_begin(struct bt *t);

/**
 * bt_end() - wait (20 s at most) for every pool to be as bt_begin() found it.
 * Returns NULL, or what differs. Opens the device anew: the test may have ended anyhow.
 */
const char *bt_end(const struct bt *t);

/** bt_open() - a new file of the device, or -1 with errno set. */
int bt_open(void);

/** bt_ioctl() - any ioctl; 0 or -errno. */
int bt_ioctl(int fd, unsigned long cmd, void *arg);

int bt_info(int fd, struct bitmem_info *info);
int bt_pool(int fd, uint32_t index, struct bitmem_pool_info *pool);

/** bt_total() - the sums of all pools' counters, their highest level; the rest is 0. */
int bt_total(int fd, struct bitmem_pool_info *total);

/** bt_free_bytes() - what is free in a pool's (or the total's) counters. */
static inline uint64_t bt_free_bytes(const struct bitmem_pool_info *pool)
{
	return pool->out_zeroed + pool->out_dirty;
}

/** bt_adds_up() - whether a pool's capacity is the sum of its five parts. */
bool bt_adds_up(const struct bitmem_pool_info *pool);

int bt_alloc(int fd, uint64_t length, struct bitmem_alloc *alloc);
int bt_alloc_on(int fd, uint64_t length, int node, uint32_t flags, struct bitmem_alloc *alloc);
int bt_free(int fd, uint32_t id);
int bt_query(int fd, uint32_t id, uint32_t flags, struct bitmem_query *query);

/** bt_buffers() - how many ids a file has. */
uint64_t bt_buffers(int fd);

/** bt_publish() - give the buffer @id a name that the bits of @mode open to others. */
int bt_publish(int fd, uint32_t id, const char *name, uint32_t mode);
int bt_unpublish(int fd, uint32_t id);

/** bt_attach() - get an id for the buffer that the user @uid named so. */
int bt_attach(int fd, uint32_t uid, const char *name, uint32_t flags,
	      struct bitmem_attach *attach);

/** bt_range() - BITMEM_COMMIT or BITMEM_DECOMMIT, as @cmd says. */
int bt_range(int fd, unsigned long cmd, uint32_t id, uint64_t offset, uint64_t length,
	     struct bitmem_range *range);
int bt_migrate(int fd, uint32_t id, int node, struct bitmem_migrate *migrate);
int bt_compact(int fd, uint32_t index, uint64_t budget, struct bitmem_compact *compact);
int bt_trim(int fd, uint32_t index, uint64_t budget, struct bitmem_compact *trim);
int bt_limit(int fd, uint64_t limit, struct bitmem_limit *out);

/**
 * bt_segments() - BITMEM_SEGMENTS from @offset on. The outputs are in @out, of which only
 * @count and @entries are looked at.
 */
int bt_segments(int fd, uint32_t id, uint64_t offset, struct bitmem_segments *out);

/** bt_map() - map @length bytes at @offset, shared, to read and write; NULL with errno set. */
void *bt_map(int fd, size_t length, uint64_t offset);

/** bt_new() - bt_alloc() and bt_map() of the whole; NULL with errno set. */
void *bt_new(int fd, size_t length, struct bitmem_alloc *alloc);

/** bt_new_file() - bt_open() into *@fd and bt_new() of that; NULL with errno set. */
void *bt_new_file(int *fd, size_t length, struct bitmem_alloc *alloc);

/** bt_fill() - write a pattern that differs with every word and @seed. */
void bt_fill(void *memory, size_t length, uint64_t seed);

/** bt_wrong() - the offset of the first word that is not bt_fill()'s, or -1. */
ssize_t bt_wrong(const void *memory, size_t length, uint64_t seed);

/** bt_nonzero() - the offset of the first word that is not zero, or -1. */
ssize_t bt_nonzero(const void *memory, size_t length);

/** bt_touch() - write one byte in every page. */
void bt_touch(void *memory, size_t length, size_t page);

/**
 * bt_probe() - read a byte at @address: 0, or the signal that came of it, SIGBUS or SIGSEGV.
 * Any thread may; the handlers stay.
 */
int bt_probe(const volatile void *address);

/** bt_pin() - put @length bytes at @memory into a pipe, which refers to their pages until read. */
int bt_pin(const int pipe[2], void *memory, size_t length);

/**
 * bt_unpin() - read @length bytes from the pipe: -EBADMSG unless they are those at @at in
 * memory that bt_fill() filled with @seed.
 */
int bt_unpin(const int pipe[2], size_t length, size_t at, uint64_t seed);

/**
 * bt_pin_long() - pin @length bytes at @memory for long, as io_uring does with registered
 * buffers. Returns what bt_unpin_long() wants, or -errno: -EOPNOTSUPP before Linux 6.5.
 */
int bt_pin_long(void *memory, size_t length);
void bt_unpin_long(int pin);

/**
 * bt_disk() - the disk in $BITMEM_NVME to read and write, or else /dev/nvme0n1 to read,
 * with O_DIRECT; -errno. *@ours says whether it may be written.
 */
int bt_disk(bool *ours);

/** bt_node_of() - the NUMA node of the page at @address, or -errno. */
int bt_node_of(void *address);

/** bt_faults() - page faults of this thread so far that needed no I/O. */
long bt_faults(void);

/** bt_smaps() - the kB of @field in the entry of /proc/self/smaps that begins at @memory, or -1. */
long bt_smaps(const void *memory, const char *field);

/** bt_vmflags() - whether that entry has the two letters @flag among its VmFlags. */
bool bt_vmflags(const void *memory, const char *flag);

uint64_t bt_now_ns(void);
void bt_sleep_ms(unsigned int ms);

/**
 * How long to wait for what comes for sure, but takes a kernel that checks every
 * access seconds a superblock, beside others: zeroing, joining.
 */
#define BT_PATIENCE_MS 60000

/** bt_quarantined() - whether @bytes moved from free to quarantine since @before, and no more. */
bool bt_quarantined(int fd, const struct bitmem_pool_info *before, uint64_t bytes);

/** bt_wait_total() - wait until a total's @offset'th u64 member is @value; -ETIMEDOUT. */
int bt_wait_total(int fd, size_t offset, uint64_t value, unsigned int ms);

/** bt_wait_pinned() - wait until BITMEM_QUERY says that @bytes of a buffer are pinned. */
int bt_wait_pinned(int fd, uint32_t id, uint64_t bytes, unsigned int ms);

#define BT_WAIT(fd, member, value, ms) \
	bt_wait_total(fd, offsetof(struct bitmem_pool_info, member), value, ms)

/**
 * bt_file() - an empty file without a name where tests keep theirs ($TMPDIR), opened to
 * read and write and with @flags; or -errno.
 */
int bt_file(int flags);

/** bt_kernel_before() - whether the running kernel is older than @major.@minor. */
bool bt_kernel_before(unsigned int major, unsigned int minor);

/** bt_rounds() - $BITMEM_ROUNDS, or @fallback. */
unsigned int bt_rounds(unsigned int fallback);

/** bt_seconds() - $BITMEM_SECONDS, how long what goes on until then is to go on, or @fallback. */
unsigned int bt_seconds(unsigned int fallback);

/** bt_signal() and bt_await() - one byte through a pipe, so that processes take turns. */
int bt_signal(const int pipe[2]);
int bt_await(const int pipe[2]);

/** bt_reap() - wait for @pid; its exit status, or 256 + the signal that killed it. */
int bt_reap(pid_t pid);

/**
 * struct bt_watch - a thread that looks at every pool all the time
 * @polls: how often it did
 * @wrong: how often a capacity was not the sum of its parts, or changed
 */
struct bt_watch {
	pthread_t thread;
	const struct bt *test;
	bool stop;
	unsigned long polls;
	unsigned long wrong;
};

int bt_watch_start(struct bt_watch *watch, const struct bt *t);
void bt_watch_stop(struct bt_watch *watch);

/** BT_FIXTURE - a fixture of nothing but the device, in a file that includes the harness. */
#define BT_FIXTURE(name)						\
	FIXTURE(name) {							\
		struct bt t;						\
	};								\
	BT_FIXTURE_FUNCTIONS(name)

/** BT_FIXTURE_FUNCTIONS - set-up and tear-down for a fixture that has a struct bt named t. */
#define BT_FIXTURE_FUNCTIONS(name)					\
	FIXTURE_SETUP(name)						\
	{								\
		const char *why = bt_begin(&self->t);			\
									\
		if (why)						\
			SKIP(return, "%s", why);			\
	}								\
	FIXTURE_TEARDOWN_PARENT(name)					\
	{								\
		const char *why = bt_end(&self->t);			\
									\
		if (why)						\
			TH_LOG("afterwards %s", why);			\
		EXPECT_EQ(NULL, why);					\
	}

/** BT_MAIN - like TEST_HARNESS_MAIN, with the device for oneself. */
#define BT_MAIN								\
	int main(int argc, char **argv)					\
	{								\
		bt_lock();						\
		return test_harness_run(argc, argv);			\
	}

#endif /* BITMEM_TEST_H */
