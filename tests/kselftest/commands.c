// SPDX-License-Identifier: GPL-2.0
/*
 * The table of commands.h. What arguments point at is static: one of a kind at a time.
 */
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void fill_info(void *arg, int fd, uint32_t id)
{
	struct bitmem_info *info = arg;

	(void)fd;
	(void)id;
	info->out_abi = 99;
	info->out_page_size = 1;
	info->out_pools = -1u;
	info->__out_reserved = 5;
}

static void fill_pool_info(void *arg, int fd, uint32_t id)
{
	struct bitmem_pool_info *pool = arg;

	(void)fd;
	(void)id;
	pool->out_node = -77;
	pool->out_capacity = 12345;
	pool->out_moved = -1ull;
}

static void fill_alloc(void *arg, int fd, uint32_t id)
{
	(void)fd;
	(void)id;
	*(struct bitmem_alloc *)arg = (struct bitmem_alloc) {
		.size = sizeof(struct bitmem_alloc), .length = 1, .node = BITMEM_NODE_ANY,
		.out_id = 0xdeadbeef, .out_offset = -1ull, .out_length = 7,
	};
}

static void fill_free(void *arg, int fd, uint32_t id)
{
	(void)fd;
	((struct bitmem_free *)arg)->id = id;
}

static void fill_query(void *arg, int fd, uint32_t id)
{
	struct bitmem_query *query = arg;

	(void)fd;
	query->id = id;
	query->out_id = 0xdeadbeef;
	query->out_flags = -1u;
	query->out_length = -1ull;
	memcpy(query->out_tag, "rubbish", 8);
}

/* The one output that is written on failure, too, starts as what it is then. */
static void fill_alloc_many(void *arg, int fd, uint32_t id)
{
	static struct bitmem_alloc entry;
	struct bitmem_alloc_many *many = arg;

	fill_alloc(&entry, fd, id);
	many->count = 1;
	many->entries = (uintptr_t)&entry;
	many->entry_size = sizeof(entry);
}

static void fill_free_many(void *arg, int fd, uint32_t id)
{
	static uint32_t ids[1];
	struct bitmem_free_many *many = arg;

	(void)fd;
	ids[0] = id;
	many->count = 1;
	many->ids = (uintptr_t)ids;
}

static void fill_range(void *arg, int fd, uint32_t id)
{
	struct bitmem_range *range = arg;
	struct bitmem_query query;

	range->id = id;
	if (!bt_query(fd, id, 0, &query))
		range->length = query.out_length;
	range->out_done = 1;
	range->out_skipped = -1ull;
	range->out_promoted = 77;
}

static void fill_export(void *arg, int fd, uint32_t id)
{
	struct bitmem_export *export = arg;

	(void)fd;
	export->id = id;
	export->out_fd = -77;
}

static void fill_import(void *arg, int fd, uint32_t id)
{
	struct bitmem_export export = { .size = sizeof(export), .id = id };
	struct bitmem_import *import = arg;

	import->fd = bt_ioctl(fd, BITMEM_EXPORT, &export) ? -1 : export.out_fd;
	import->out_id = 0xdeadbeef;
	import->out_offset = 1;
	import->out_length = 1;
}

/* A name that was not used before. */
static void next_name(void *name)
{
	static unsigned int n;

	snprintf(name, BITMEM_NAME_LEN, "command %u", n++);
}

static void fill_publish(void *arg, int fd, uint32_t id)
{
	struct bitmem_publish *publish = arg;

	(void)fd;
	publish->id = id;
	publish->mode = 0600;
	next_name(publish->name);
}

static void fill_attach(void *arg, int fd, uint32_t id)
{
	struct bitmem_attach *attach = arg;

	attach->uid = BITMEM_UID_SELF;
	next_name(attach->name);
	bt_publish(fd, id, (char *)attach->name, 0600);
	attach->out_id = 0xdeadbeef;
	attach->__out_reserved = 9;
	attach->out_length = -1ull;
}

static void fill_migrate(void *arg, int fd, uint32_t id)
{
	struct bitmem_migrate *migrate = arg;
	struct bitmem_pool_info pool;

	migrate->id = id;
	migrate->node = bt_pool(fd, 0, &pool) ? 0 : pool.out_node;
	migrate->out_moved = 1;
	migrate->out_skipped = 1;
}

/* For BITMEM_TRIM, too. Little of it: pools are not to change. */
static void fill_compact(void *arg, int fd, uint32_t id)
{
	struct bitmem_compact *compact = arg;

	(void)fd;
	(void)id;
	compact->budget = 1;
	compact->out_moved = 5;
	compact->out_freed = 5;
	compact->out_skipped = 5;
}

static void fill_limit(void *arg, int fd, uint32_t id)
{
	struct bitmem_limit *limit = arg;

	(void)fd;
	(void)id;
	limit->limit = BITMEM_NO_LIMIT;
	limit->out_used = 1;
}

static void fill_segments(void *arg, int fd, uint32_t id)
{
	static struct bitmem_segment entries[4];
	struct bitmem_segments *segments = arg;

	(void)fd;
	segments->id = id;
	segments->count = 4;
	segments->entries = (uintptr_t)entries;
	segments->out_count = 9;
	segments->__out_reserved = 9;
}

#define COMMAND(_name, _lower, ...)						\
	[BITMEM_CMD_##_name - BITMEM_CMD_BASE] = {				\
		.name = #_name, .cmd = BITMEM_##_name, .fill = fill_##_lower,	\
		__VA_ARGS__							\
	}
#define RESERVED(_struct)	.reserved = offsetof(struct bitmem_##_struct, __reserved)

const struct bt_command bt_commands[BT_COMMANDS] = {
	COMMAND(INFO, info, .first = 56, .writes = true),
	COMMAND(POOL_INFO, pool_info, .first = 208, .writes = true, RESERVED(pool_info)),
	COMMAND(ALLOC, alloc, .first = 80, .writes = true, RESERVED(alloc),
		.flags = BITMEM_ALLOC_BIND | BITMEM_ALLOC_CONTIG | BITMEM_ALLOC_NOWAIT),
	COMMAND(FREE, free, .first = 16, .takes_id = true, RESERVED(free)),
	COMMAND(QUERY, query, .first = 112, .takes_id = true, .writes = true,
		.flags = BITMEM_QUERY_NEXT),
	COMMAND(ALLOC_MANY, alloc_many, .first = 32, .writes = true, RESERVED(alloc_many)),
	COMMAND(FREE_MANY, free_many, .first = 24, .takes_id = true, .writes = true),
	COMMAND(COMMIT, range, .first = 56, .takes_id = true, .writes = true, RESERVED(range)),
	COMMAND(DECOMMIT, range, .first = 56, .takes_id = true, .writes = true, RESERVED(range)),
	COMMAND(EXPORT, export, .first = 16, .takes_id = true, .writes = true,
		.flags = BITMEM_EXPORT_READONLY),
	COMMAND(IMPORT, import, .first = 32, .takes_id = true, .writes = true),
	COMMAND(PUBLISH, publish, .first = 80, .takes_id = true,
		.flags = BITMEM_PUBLISH_REMOVE),
	COMMAND(ATTACH, attach, .first = 104, .takes_id = true, .writes = true, RESERVED(attach),
		.flags = BITMEM_ATTACH_READONLY),
	COMMAND(MIGRATE, migrate, .first = 32, .takes_id = true, .writes = true),
	COMMAND(COMPACT, compact, .first = 48, .writes = true, RESERVED(compact)),
	COMMAND(TRIM, compact, .first = 48, .writes = true, RESERVED(compact)),
	COMMAND(LIMIT, limit, .first = 32, .writes = true),
	COMMAND(SEGMENTS, segments, .first = 48, .takes_id = true, .writes = true,
		.privileged = true),
};

int bt_prepare(const struct bt_command *command, int fd, void *arg)
{
	const uint32_t size = command->first;
	uint64_t words[BT_ARG_MAX / sizeof(uint64_t)] = {};
	struct bitmem_alloc buffer = {};
	int err = 0;

	if (command->takes_id)
		err = bt_alloc(fd, 1, &buffer);
	command->fill(words, fd, buffer.out_id);
	memcpy(words, &size, sizeof(size));
	memcpy(arg, words, size);
	return err;
}
