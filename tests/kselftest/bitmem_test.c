// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of bitmem_test.h that use the device. No state outside the arguments
 * but the text that bt_begin() and bt_end() return, and the lock's descriptor.
 */
#include "bitmem_test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static char reason[256];

void bt_lock(void)
{
	int fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		perror("/dev");
		exit(1);
	}
	while (flock(fd, LOCK_EX)) {
		if (errno != EINTR) {
			perror("flock /dev");
			exit(1);
		}
	}
}

int bt_open(void)
{
	return open(BT_DEVICE, O_RDWR | O_CLOEXEC);
}

int bt_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

int bt_info(int fd, struct bitmem_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return bt_ioctl(fd, BITMEM_INFO, info);
}

int bt_pool(int fd, uint32_t index, struct bitmem_pool_info *pool)
{
	memset(pool, 0, sizeof(*pool));
	pool->size = sizeof(*pool);
	pool->index = index;
	return bt_ioctl(fd, BITMEM_POOL_INFO, pool);
}

int bt_total(int fd, struct bitmem_pool_info *total)
{
	struct bitmem_pool_info pool;
	uint32_t index;
	int err;

	memset(total, 0, sizeof(*total));
	for (index = 0; !(err = bt_pool(fd, index, &pool)); index++) {
		total->out_state |= pool.out_state;
		total->out_target += pool.out_target;
		total->out_capacity += pool.out_capacity;
		total->out_zeroed += pool.out_zeroed;
		total->out_dirty += pool.out_dirty;
		total->out_allocated += pool.out_allocated;
		total->out_quarantined += pool.out_quarantined;
		total->out_retired += pool.out_retired;
		total->out_largest += pool.out_largest;
		total->out_split += pool.out_split;
		total->out_buffers += pool.out_buffers;
		total->out_allocs += pool.out_allocs;
		total->out_fallbacks += pool.out_fallbacks;
		total->out_failures += pool.out_failures;
		total->out_max += pool.out_max;
		total->out_reserve += pool.out_reserve;
		total->out_gathered += pool.out_gathered;
		total->out_reclaimable += pool.out_reclaimable;
		total->out_returned += pool.out_returned;
		total->out_moved += pool.out_moved;
		if (pool.out_level > total->out_level)
			total->out_level = pool.out_level;
	}
	return err == -ENOENT && index ? 0 : err;
}

bool bt_adds_up(const struct bitmem_pool_info *pool)
{
	return pool->out_capacity == pool->out_zeroed + pool->out_dirty + pool->out_allocated +
				     pool->out_quarantined + pool->out_retired;
}

static int snapshot(int fd, uint32_t pools, struct bitmem_pool_info *out, bool *rest)
{
	uint32_t index;
	int err;

	*rest = true;
	for (index = 0; index < pools; index++) {
		err = bt_pool(fd, index, &out[index]);
		if (err)
			return err;
		if (out[index].out_state & BITMEM_POOL_FILLING || out[index].out_quarantined)
			*rest = false;
	}
	return 0;
}

/* Filling may take long on a slow machine; a quarantine of somebody else's may last. */
static int snapshot_at_rest(struct bt *t)
{
	const uint64_t began = bt_now_ns();
	bool rest;
	int err;

	for (;;) {
		uint64_t waited = (bt_now_ns() - began) / 1000000;
		bool filling = false;
		uint32_t i;

		err = snapshot(t->fd, t->pools, t->before, &rest);
		if (err || rest)
			return err;
		for (i = 0; i < t->pools; i++)
			filling |= t->before[i].out_state & BITMEM_POOL_FILLING;
		if (waited > (filling ? 20000 : 2000))
			return 0;
		bt_sleep_ms(5);
	}
}

const char *bt_begin(struct bt *t)
{
	struct bitmem_info info;
	int err;

	t->slack = 0;
	t->fd = bt_open();
	if (t->fd < 0) {
		snprintf(reason, sizeof(reason), "%s: %s", BT_DEVICE, strerror(errno));
		return reason;
	}
	err = bt_info(t->fd, &info);
	if (err) {
		snprintf(reason, sizeof(reason), "BITMEM_INFO: %s", strerror(-err));
		return reason;
	}
	t->page = info.out_page_size;
	t->superblock = info.out_superblock_size;
	t->pmd = info.out_pmd_size;
	t->pools = info.out_pools;
	t->nodes = info.out_nodes;
	if (t->pools > BT_POOLS)
		return "more pools than these tests know to watch";
	err = snapshot_at_rest(t);
	if (err) {
		snprintf(reason, sizeof(reason), "BITMEM_POOL_INFO: %s", strerror(-err));
		return reason;
	}
	return NULL;
}

/* Returns NULL, or what differs between the pool @now and @before. */
static const char *compare(const struct bitmem_pool_info *now,
			   const struct bitmem_pool_info *before, uint64_t slack)
{
	const struct {
		const char *name;
		uint64_t now, before, slack;
	} all[] = {
		{ "capacity", now->out_capacity, before->out_capacity, slack },
		{ "allocated", now->out_allocated, before->out_allocated, 0 },
		{ "quarantined", now->out_quarantined, before->out_quarantined, 0 },
		{ "retired", now->out_retired, before->out_retired, 0 },
		{ "free", bt_free_bytes(now), bt_free_bytes(before), slack },
		{ "buffers", now->out_buffers, before->out_buffers, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].now == all[i].before ||
		    (all[i].now < all[i].before + all[i].slack &&
		     all[i].before < all[i].now + all[i].slack))
			continue;
		snprintf(reason, sizeof(reason), "pool %u: %s is %" PRIu64 ", was %" PRIu64,
			 now->index, all[i].name, all[i].now, all[i].before);
		return reason;
	}
	return NULL;
}

const char *bt_end(const struct bt *t)
{
	const uint64_t began = bt_now_ns();
	struct bitmem_pool_info now[BT_POOLS];
	int fd = bt_open();
	const char *why;
	bool rest;
	uint32_t i;

	if (fd < 0)
		return "the device cannot be opened";
	do {
		why = snapshot(fd, t->pools, now, &rest) ? "the counters cannot be read" : NULL;
		for (i = 0; i < t->pools && !why; i++)
			why = compare(&now[i], &t->before[i], t->slack);
		if (!why)
			break;
		bt_sleep_ms(5);
	} while (bt_now_ns() - began < 20000000000ull);
	close(fd);
	return why;
}

int bt_alloc_on(int fd, uint64_t length, int node, uint32_t flags, struct bitmem_alloc *alloc)
{
	memset(alloc, 0, sizeof(*alloc));
	alloc->size = sizeof(*alloc);
	alloc->flags = flags;
	alloc->length = length;
	alloc->node = node;
	return bt_ioctl(fd, BITMEM_ALLOC, alloc);
}

int bt_alloc(int fd, uint64_t length, struct bitmem_alloc *alloc)
{
	return bt_alloc_on(fd, length, BITMEM_NODE_ANY, 0, alloc);
}

int bt_free(int fd, uint32_t id)
{
	struct bitmem_free arg = { .size = sizeof(arg), .id = id };

	return bt_ioctl(fd, BITMEM_FREE, &arg);
}

int bt_publish(int fd, uint32_t id, const char *name, uint32_t mode)
{
	struct bitmem_publish arg = { .size = sizeof(arg), .id = id, .mode = mode };

	memcpy(arg.name, name, strnlen(name, sizeof(arg.name)));
	return bt_ioctl(fd, BITMEM_PUBLISH, &arg);
}

int bt_unpublish(int fd, uint32_t id)
{
	struct bitmem_publish arg = {
		.size = sizeof(arg), .id = id, .flags = BITMEM_PUBLISH_REMOVE,
	};

	return bt_ioctl(fd, BITMEM_PUBLISH, &arg);
}

int bt_attach(int fd, uint32_t uid, const char *name, uint32_t flags,
	      struct bitmem_attach *attach)
{
	memset(attach, 0, sizeof(*attach));
	attach->size = sizeof(*attach);
	attach->flags = flags;
	attach->uid = uid;
	memcpy(attach->name, name, strnlen(name, sizeof(attach->name)));
	return bt_ioctl(fd, BITMEM_ATTACH, attach);
}

int bt_query(int fd, uint32_t id, uint32_t flags, struct bitmem_query *query)
{
	memset(query, 0, sizeof(*query));
	query->size = sizeof(*query);
	query->flags = flags;
	query->id = id;
	return bt_ioctl(fd, BITMEM_QUERY, query);
}

uint64_t bt_buffers(int fd)
{
	struct bitmem_query query;
	uint64_t n = 0;
	uint32_t id = 0;

	for (; !bt_query(fd, id, BITMEM_QUERY_NEXT, &query); n++)
		id = query.out_id;
	return n;
}

int bt_range(int fd, unsigned long cmd, uint32_t id, uint64_t offset, uint64_t length,
	     struct bitmem_range *range)
{
	memset(range, 0, sizeof(*range));
	range->size = sizeof(*range);
	range->id = id;
	range->offset = offset;
	range->length = length;
	return bt_ioctl(fd, cmd, range);
}

int bt_migrate(int fd, uint32_t id, int node, struct bitmem_migrate *migrate)
{
	memset(migrate, 0, sizeof(*migrate));
	migrate->size = sizeof(*migrate);
	migrate->id = id;
	migrate->node = node;
	return bt_ioctl(fd, BITMEM_MIGRATE, migrate);
}

int bt_compact(int fd, uint32_t index, uint64_t budget, struct bitmem_compact *compact)
{
	memset(compact, 0, sizeof(*compact));
	compact->size = sizeof(*compact);
	compact->index = index;
	compact->budget = budget;
	return bt_ioctl(fd, BITMEM_COMPACT, compact);
}

int bt_trim(int fd, uint32_t index, uint64_t budget, struct bitmem_compact *trim)
{
	memset(trim, 0, sizeof(*trim));
	trim->size = sizeof(*trim);
	trim->index = index;
	trim->budget = budget;
	return bt_ioctl(fd, BITMEM_TRIM, trim);
}

int bt_limit(int fd, uint64_t limit, struct bitmem_limit *out)
{
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->limit = limit;
	return bt_ioctl(fd, BITMEM_LIMIT, out);
}

int bt_segments(int fd, uint32_t id, uint64_t offset, struct bitmem_segments *out)
{
	out->size = sizeof(*out);
	out->flags = 0;
	out->id = id;
	out->offset = offset;
	return bt_ioctl(fd, BITMEM_SEGMENTS, out);
}

void *bt_map(int fd, size_t length, uint64_t offset)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return memory == MAP_FAILED ? NULL : memory;
}

void *bt_new(int fd, size_t length, struct bitmem_alloc *alloc)
{
	int err = bt_alloc(fd, length, alloc);
	void *memory;

	if (err) {
		errno = -err;
		return NULL;
	}
	memory = bt_map(fd, alloc->out_length, alloc->out_offset);
	if (!memory) {
		err = errno;
		bt_free(fd, alloc->out_id);
		errno = err;
	}
	return memory;
}

void *bt_new_file(int *fd, size_t length, struct bitmem_alloc *alloc)
{
	*fd = bt_open();
	return *fd < 0 ? NULL : bt_new(*fd, length, alloc);
}

bool bt_quarantined(int fd, const struct bitmem_pool_info *before, uint64_t bytes)
{
	struct bitmem_pool_info now;

	return !bt_total(fd, &now) && now.out_quarantined == before->out_quarantined + bytes &&
	       now.out_allocated == before->out_allocated &&
	       bt_free_bytes(&now) == bt_free_bytes(before) - bytes &&
	       now.out_capacity == before->out_capacity;
}

int bt_wait_total(int fd, size_t offset, uint64_t value, unsigned int ms)
{
	const uint64_t began = bt_now_ns();
	struct bitmem_pool_info total;
	uint64_t seen;
	int err;

	for (;;) {
		err = bt_total(fd, &total);
		if (err)
			return err;
		memcpy(&seen, (char *)&total + offset, sizeof(seen));
		if (seen == value)
			return 0;
		if (bt_now_ns() - began > ms * 1000000ull)
			return -ETIMEDOUT;
		bt_sleep_ms(1);
	}
}

int bt_wait_pinned(int fd, uint32_t id, uint64_t bytes, unsigned int ms)
{
	const uint64_t began = bt_now_ns();
	struct bitmem_query query;
	int err;

	while (!(err = bt_query(fd, id, 0, &query)) && query.out_pinned != bytes) {
		if (bt_now_ns() - began > ms * 1000000ull)
			return -ETIMEDOUT;
		bt_sleep_ms(1);
	}
	return err;
}

static void *watch_pools(void *arg)
{
	struct bt_watch *watch = arg;
	struct bitmem_pool_info pool;
	uint32_t i;

	while (!__atomic_load_n(&watch->stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < watch->test->pools; i++) {
			if (bt_pool(watch->test->fd, i, &pool) || !bt_adds_up(&pool) ||
			    pool.out_capacity != watch->test->before[i].out_capacity)
				watch->wrong++;
		}
		watch->polls++;
	}
	return NULL;
}

int bt_watch_start(struct bt_watch *watch, const struct bt *t)
{
	memset(watch, 0, sizeof(*watch));
	watch->test = t;
	return -pthread_create(&watch->thread, NULL, watch_pools, watch);
}

void bt_watch_stop(struct bt_watch *watch)
{
	__atomic_store_n(&watch->stop, true, __ATOMIC_RELAXED);
	pthread_join(watch->thread, NULL);
}
