/* SPDX-License-Identifier: GPL-2.0 */
/* libbitmem-events: subscriptions and dumps, against what the device does and says. */
#include <bitmem/events.h>
#include <fcntl.h>
#include <linux/bitmem.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib_test.h"

#define SOON 5000

static int device_open(void)
{
	const char *path = getenv("BITMEM_DEVICE");

	return open(path ? path : "/dev/bitmem", O_RDWR | O_CLOEXEC);
}

static int device_alloc(int fd, size_t length, const char *tag, uint64_t *offset)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc), .length = length, .node = BITMEM_NODE_ANY,
	};

	memcpy(alloc.tag, tag, strnlen(tag, sizeof(alloc.tag) - 1));
	if (ioctl(fd, BITMEM_ALLOC, &alloc))
		return -errno;
	*offset = alloc.out_offset;
	return 0;
}

/* What a test heard: the last event of a type for a file (or pool), and how many. */
struct heard {
	enum bitmem_event_type type;
	uint32_t pid;
	int n;
	struct bitmem_event event;
};

static int hear(const struct bitmem_event *event, void *data)
{
	struct heard *heard = data;

	if (event->type != heard->type || (heard->pid && event->pid != heard->pid))
		return 0;
	heard->event = *event;
	heard->n++;
	return 0;
}

/* Reads until one was heard, or it is late. */
static int wait_for(struct bitmem_events *events, struct heard *heard)
{
	struct pollfd pfd = { .fd = bitmem_events_fd(events), .events = POLLIN };
	int err = 0;

	while (!err && !heard->n && poll(&pfd, 1, SOON) == 1)
		err = bitmem_events_read(events, hear, heard);
	return err;
}

FIXTURE(events)
{
	int fd;
	struct bitmem_events *events;
};

FIXTURE_SETUP(events)
{
	self->fd = device_open();
	if (self->fd < 0)
		SKIP(return, "no bitmem device");
	self->events = bitmem_events_open(geteuid() ? 0 : BITMEM_EVENTS_OWNERS);
	ASSERT_NE(NULL, self->events);
}

FIXTURE_TEARDOWN(events)
{
	bitmem_events_close(self->events);
	close(self->fd);
	EXPECT_FALSE(test_leaks());
}

TEST(flags)
{
	errno = 0;
	EXPECT_EQ(NULL, bitmem_events_open(1u << 31));
	EXPECT_EQ(EINVAL, errno);
	bitmem_events_close(NULL);
}

static int never(const struct bitmem_nl_buffer *buffer, void *data)
{
	return -ENOTRECOVERABLE;
}

static int no_quota(const struct bitmem_nl_quota *quota, void *data)
{
	return -ENOTRECOVERABLE;
}

static const struct bitmem_nl_settings keep_all = {
	.size = sizeof(keep_all),
	.target = BITMEM_NL_KEEP, .max = BITMEM_NL_KEEP, .reserve = BITMEM_NL_KEEP,
	.low = BITMEM_NL_KEEP, .high = BITMEM_NL_KEEP, .emergency = BITMEM_NL_KEEP,
};

struct later_settings {
	struct bitmem_nl_settings settings;
	uint64_t later;
};

/* What a program does not have is not written to, and what the library does not have is kept. */
TEST(settings_size)
{
	struct later_settings later = { .later = 1 };
	const size_t size = sizeof(later.settings);
	char reason[BITMEM_NL_REASON_LEN];

	bitmem_nl_settings_init(&later.settings);
	EXPECT_EQ(size, later.settings.size);
	EXPECT_EQ(BITMEM_NL_KEEP, later.settings.target);
	EXPECT_EQ(BITMEM_NL_KEEP, later.settings.emergency);
	EXPECT_EQ(1, later.later);
	later.settings.emergency = 2;
	bitmem_nl_settings_init_sized(&later.settings, size - sizeof(uint64_t));
	EXPECT_EQ(2, later.settings.emergency);
	EXPECT_EQ(-EINVAL, bitmem_nl_pool_set(0, &later.settings, reason));
	EXPECT_NE(NULL, strstr(reason, "settings.size"));

	bitmem_nl_settings_init_sized(&later.settings, sizeof(later));
	EXPECT_EQ(BITMEM_NL_KEEP, later.later);
	EXPECT_NE(-EINVAL, bitmem_nl_pool_set(~0u, &later.settings, reason));
	EXPECT_EQ(NULL, strstr(reason, "settings.size"));
	later.later = 0;
	EXPECT_EQ(-EINVAL, bitmem_nl_pool_set(~0u, &later.settings, reason));
	EXPECT_NE(NULL, strstr(reason, "settings.size"));
	EXPECT_FALSE(test_leaks());
}

/* Without the module, or where it does not show: ENOENT, and no descriptor is left open. */
TEST(absent)
{
	int fd = device_open(), fds = test_fds();
	char reason[BITMEM_NL_REASON_LEN];

	if (fd >= 0) {
		close(fd);
		SKIP(return, "the device is there");
	}
	errno = 0;
	EXPECT_EQ(NULL, bitmem_events_open(0));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-ENOENT, bitmem_nl_buffers(never, NULL));
	EXPECT_EQ(-ENOENT, bitmem_nl_superblocks(NULL, NULL));
	EXPECT_EQ(-ENOENT, bitmem_nl_pool_set(0, &keep_all, reason));
	EXPECT_EQ(-ENOENT, bitmem_nl_quota_set(0, 0, reason));
	EXPECT_EQ(-ENOENT, bitmem_nl_quotas(no_quota, NULL));
	EXPECT_STREQ("", reason);
	EXPECT_EQ(fds, test_fds());
	EXPECT_FALSE(test_leaks());
}

TEST_F(events, nothing_to_read)
{
	struct heard heard = { .type = BITMEM_EVENT_LOST };
	int fds = test_fds();
	struct bitmem_events *other = bitmem_events_open(0);

	ASSERT_NE(NULL, other);
	EXPECT_EQ(0, bitmem_events_read(other, hear, &heard));
	EXPECT_EQ(0, heard.n);
	bitmem_events_close(other);
	EXPECT_EQ(fds, test_fds());
}

/* A process that is killed with two buffers. */
TEST_F(events, reclaimed)
{
	struct heard heard = { .type = BITMEM_EVENT_RECLAIMED };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int ready[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint64_t offset;
		int fd = device_open();

		if (!device_alloc(fd, 1, "a", &offset) && !device_alloc(fd, 1, "b", &offset) &&
		    write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	if (!geteuid())
		heard.pid = (uint32_t)pid;
	ASSERT_EQ(0, wait_for(self->events, &heard));
	ASSERT_EQ(1, heard.n);
	if (geteuid()) {
		EXPECT_EQ(BITMEM_EVENT_NOBODY, heard.event.pid);
		EXPECT_EQ(BITMEM_EVENT_NOBODY, heard.event.uid);
		return;
	}
	EXPECT_EQ(2, heard.event.buffers);
	EXPECT_EQ(2 * page, heard.event.bytes);
	EXPECT_NE(0, heard.event.file);
	EXPECT_EQ(0, heard.event.uid);
}

static int stop_at_once(const struct bitmem_event *event, void *data)
{
	++*(int *)data;
	return 42;
}

/* Leaves a buffer in a file that is closed, @n times. */
static int leak(int n)
{
	uint64_t offset;
	int i, err = 0;

	for (i = 0; i < n && !err; i++) {
		int fd = device_open();

		err = device_alloc(fd, 1, "", &offset);
		close(fd);
	}
	return err;
}

TEST_F(events, the_callback_ends_it)
{
	struct bitmem_events *events = bitmem_events_open(0);
	struct heard heard = { .type = BITMEM_EVENT_RECLAIMED };
	int n = 0;

	ASSERT_NE(NULL, events);
	ASSERT_EQ(0, leak(3));
	EXPECT_EQ(42, bitmem_events_read(events, stop_at_once, &n));
	EXPECT_EQ(1, n);
	EXPECT_EQ(0, bitmem_events_read(events, hear, &heard));
	EXPECT_LE(2, heard.n);
	bitmem_events_close(events);
}

/* Each file is told of once, although the socket hears of it in both groups. */
TEST_F(events, once)
{
	struct heard heard = { .type = BITMEM_EVENT_RECLAIMED, .pid = (uint32_t)getpid() };

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, leak(5));
	EXPECT_EQ(0, bitmem_events_read(self->events, hear, &heard));
	EXPECT_EQ(5, heard.n);
	heard.pid = BITMEM_EVENT_NOBODY;
	heard.n = 0;
	ASSERT_EQ(0, leak(5));
	EXPECT_EQ(0, bitmem_events_read(self->events, hear, &heard));
	EXPECT_EQ(0, heard.n);
}

TEST_F(events, lost)
{
	struct heard heard = { .type = BITMEM_EVENT_LOST };

	ASSERT_EQ(0, leak(3000));
	EXPECT_EQ(0, bitmem_events_read(self->events, hear, &heard));
	EXPECT_LE(1, heard.n);
	heard.n = 0;
	heard.type = BITMEM_EVENT_RECLAIMED;
	ASSERT_EQ(0, leak(1));
	EXPECT_EQ(0, bitmem_events_read(self->events, hear, &heard));
	EXPECT_LE(1, heard.n);
}

/* --- dumps --- */

struct sums {
	uint32_t pools;
	uint64_t capacity;
	bool odd;
};

static int add_pool(const struct bitmem_nl_pool *pool, void *data)
{
	struct sums *sums = data;

	sums->odd |= pool->index != sums->pools++ ||
		     pool->capacity != pool->zeroed + pool->dirty + pool->allocated +
					       pool->quarantined + pool->retired;
	sums->capacity += pool->capacity;
	return 0;
}

TEST_F(events, pools)
{
	struct bitmem_info info = { .size = sizeof(info) };
	struct sums sums = { 0 };

	ASSERT_EQ(0, ioctl(self->fd, BITMEM_INFO, &info));
	ASSERT_EQ(0, bitmem_nl_pools(add_pool, &sums));
	EXPECT_EQ(info.out_pools, sums.pools);
	EXPECT_LT(0, sums.capacity);
	EXPECT_FALSE(sums.odd);
}

static int first_pool(const struct bitmem_nl_pool *pool, void *data)
{
	*(struct bitmem_nl_pool *)data = *pool;
	return 1;
}

TEST_F(events, settings)
{
	struct bitmem_nl_settings set = keep_all;
	struct bitmem_nl_pool pool, now;
	char reason[BITMEM_NL_REASON_LEN];
	int fds = test_fds();

	if (geteuid())
		SKIP(return, "needs CAP_SYS_ADMIN");
	ASSERT_EQ(1, bitmem_nl_pools(first_pool, &pool));
	set.low = pool.low;
	set.high = pool.high;
	set.emergency = pool.low + 1;
	EXPECT_EQ(0, bitmem_nl_pool_set(pool.index, &set, reason));
	EXPECT_STREQ("", reason);
	ASSERT_EQ(1, bitmem_nl_pools(first_pool, &now));
	EXPECT_EQ(pool.low, now.emergency);
	EXPECT_EQ(pool.high, now.high);

	set.emergency = pool.low + sysconf(_SC_PAGESIZE);
	EXPECT_EQ(-EINVAL, bitmem_nl_pool_set(pool.index, &set, reason));
	EXPECT_NE(NULL, strstr(reason, "emergency is above low"));
	EXPECT_EQ(-EINVAL, bitmem_nl_pool_set(pool.index, &keep_all, reason));
	EXPECT_NE(NULL, strstr(reason, "no setting"));
	set.emergency = pool.emergency;
	EXPECT_EQ(-ENOENT, bitmem_nl_pool_set(~0u, &set, reason));
	EXPECT_NE(NULL, strstr(reason, "index: no such pool"));
	EXPECT_EQ(0, bitmem_nl_pool_set(pool.index, &set, reason));
	ASSERT_EQ(1, bitmem_nl_pools(first_pool, &now));
	EXPECT_EQ(pool.emergency, now.emergency);
	EXPECT_EQ(fds, test_fds());
}

/* In a child: another user has no capability. */
static int set_as_another(const struct bitmem_nl_settings *set)
{
	char reason[BITMEM_NL_REASON_LEN];
	pid_t pid = fork();
	int status;

	if (!pid) {
		int err = setuid(65534) ? 0 : bitmem_nl_pool_set(0, set, reason);
		bool wrong = err != -EPERM || strcmp(reason, "CAP_SYS_ADMIN is missing");

		err = bitmem_nl_quota_set(65534, 0, reason);
		wrong |= err != -EPERM || strcmp(reason, "CAP_SYS_ADMIN is missing");
		_exit(wrong);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

TEST_F(events, settings_of_others)
{
	struct bitmem_nl_settings set = keep_all;

	if (geteuid())
		SKIP(return, "needs another user");
	set.low = 0;
	EXPECT_EQ(0, set_as_another(&set));
}

/* A user that nothing else has to do with. */
#define SOMEBODY 4242

struct quotas {
	uint32_t uid;
	int n;
	struct bitmem_nl_quota found;
};

static int look_for_quota(const struct bitmem_nl_quota *quota, void *data)
{
	struct quotas *quotas = data;

	if (quota->uid != quotas->uid)
		return 0;
	quotas->n++;
	quotas->found = *quota;
	return 0;
}

TEST_F(events, quotas)
{
	struct quotas own = { .uid = geteuid() }, set = { .uid = SOMEBODY };
	uint64_t before, offset;
	int fds = test_fds();
	char reason[BITMEM_NL_REASON_LEN];

	ASSERT_EQ(0, bitmem_nl_quotas(look_for_quota, &own));
	ASSERT_EQ(1, own.n);
	before = own.found.bytes;
	ASSERT_EQ(0, device_alloc(self->fd, 3 << 20, "charged", &offset));
	ASSERT_EQ(0, bitmem_nl_quotas(look_for_quota, &own));
	EXPECT_EQ(2, own.n);
	EXPECT_EQ(before + (3 << 20), own.found.bytes);
	if (geteuid())
		SKIP(return, "needs CAP_SYS_ADMIN");
	EXPECT_EQ(0, bitmem_nl_quota_set(SOMEBODY, 5 << 20, reason));
	EXPECT_STREQ("", reason);
	ASSERT_EQ(0, bitmem_nl_quotas(look_for_quota, &set));
	EXPECT_EQ(1, set.n);
	EXPECT_EQ(5u << 20, set.found.limit);
	EXPECT_EQ(0, set.found.bytes);
	EXPECT_EQ(0, bitmem_nl_quota_set(SOMEBODY, BITMEM_NL_NO_LIMIT, reason));
	/* Without a limit of their own or a file, nothing is kept of users. */
	ASSERT_EQ(0, bitmem_nl_quotas(look_for_quota, &set));
	EXPECT_EQ(1, set.n);
	EXPECT_EQ(-EINVAL, bitmem_nl_quota_set(~0u, 0, reason));
	EXPECT_NE(NULL, strstr(reason, "uid: no such user here"));
	EXPECT_EQ(fds, test_fds());
}

struct search {
	uint64_t offset;
	int n;
	struct bitmem_nl_buffer found;
	/* Of what it has on nodes: the sum. */
	uint64_t spread;
};

static int look(const struct bitmem_nl_buffer *buffer, void *data)
{
	struct search *search = data;

	if (buffer->offset == search->offset) {
		search->found = *buffer;
		search->n++;
		for (size_t i = 0; i < buffer->n_spread; i++)
			search->spread += buffer->spread[i].bytes;
	}
	return 0;
}

TEST_F(events, buffers)
{
	const char tag[] = "a tag of thirty-one characters.";
	struct search search = { 0 };
	int fds = test_fds();
	void *memory;

	ASSERT_EQ(0, device_alloc(self->fd, 5, tag, &search.offset));
	memory = mmap(NULL, 1, PROT_READ, MAP_SHARED, self->fd, (off_t)search.offset);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, bitmem_nl_buffers(look, &search));
	ASSERT_EQ(1, search.n);
	EXPECT_EQ(sysconf(_SC_PAGESIZE), search.found.length);
	EXPECT_EQ(search.found.length, search.found.resident);
	EXPECT_EQ(search.found.resident, search.spread);
	EXPECT_EQ(geteuid(), search.found.uid);
	EXPECT_EQ(getpid(), search.found.pid);
	EXPECT_EQ(1, search.found.handles);
	EXPECT_EQ(1, search.found.mappings);
	EXPECT_STREQ(tag, search.found.tag);
	EXPECT_STREQ("", search.found.name);
	EXPECT_FALSE(search.found.closed);
	EXPECT_EQ(-ENOTRECOVERABLE, bitmem_nl_buffers(never, NULL));
	EXPECT_EQ(fds, test_fds());
	munmap(memory, 1);
}

/* Superblocks of the buffer at @offset: bytes, and what was wrong with them. */
struct places {
	uint64_t offset;
	uint64_t whole;
	uint64_t split;
	uint64_t all;
	bool odd;
};

static int place(const struct bitmem_nl_superblock *superblock, void *data)
{
	struct places *places = data;

	places->all += superblock->count *
		       (superblock->zeroed + superblock->dirty + superblock->allocated +
			superblock->quarantined + superblock->retired);
	places->odd |= !superblock->count || superblock->busy > superblock->zeroed +
									superblock->dirty;
	if (!superblock->file || superblock->offset != places->offset)
		return 0;
	places->odd |= superblock->pid != (uint32_t)getpid() || superblock->uid != geteuid() ||
		       strcmp(superblock->tag, "placed") || superblock->closed ||
		       !*superblock->comm;
	if (superblock->split)
		places->split += superblock->count * superblock->allocated;
	else
		places->whole += superblock->count * superblock->allocated;
	return 0;
}

static int no_place(const struct bitmem_nl_superblock *superblock, void *data)
{
	return -ENOTRECOVERABLE;
}

TEST_F(events, superblocks)
{
	struct bitmem_info info = { .size = sizeof(info) };
	struct places places = { 0 };
	int fds = test_fds();

	if (geteuid()) {
		EXPECT_EQ(-EPERM, bitmem_nl_superblocks(no_place, NULL));
		SKIP(return, "needs CAP_SYS_ADMIN");
	}
	ASSERT_EQ(0, ioctl(self->fd, BITMEM_INFO, &info));
	ASSERT_EQ(0, device_alloc(self->fd, 2 * info.out_superblock_size, "placed",
				  &places.offset));
	ASSERT_EQ(0, bitmem_nl_superblocks(place, &places));
	EXPECT_LE(places.whole + places.split, 2 * info.out_superblock_size);
	EXPECT_LT(0, places.whole + places.split);
	EXPECT_LT(places.whole, places.all);
	EXPECT_FALSE(places.odd);
	EXPECT_EQ(-ENOTRECOVERABLE, bitmem_nl_superblocks(no_place, NULL));
	EXPECT_EQ(fds, test_fds());
}

TEST_HARNESS_MAIN
