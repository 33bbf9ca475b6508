// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: the dump of buffers. Every buffer is in it, whoever
 * keeps it, once; and only for those who may know.
 */
#include "bitmem_genl.h"
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	65534
#define MANY	2000

/* A buffer of a dump. */
struct seen {
	uint64_t file, offset, length, resident, age, spread;
	uint32_t uid, pid, id, handles, mappings, exports;
	bool anon, fixed, closed;
	char comm[32], tag[BITMEM_TAG_LEN], name[BITMEM_NAME_LEN];
};

struct list {
	size_t n;
	bool disordered;
	struct seen seen[MANY + 600];
};

FIXTURE(netlink_buffer)
{
	struct bt t;
	struct bn bn;
	struct list *list;
};

FIXTURE_SETUP(netlink_buffer)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bn_open(&self->bn));
	self->list = calloc(1, sizeof(*self->list));
	ASSERT_NE(NULL, self->list);
}

FIXTURE_TEARDOWN_PARENT(netlink_buffer)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static void note_spread(const struct nlattr *attr, struct seen *seen)
{
	const struct nlattr *attrs[BN_ATTRS];
	uint64_t bytes;

	bn_nested(attr, attrs);
	if (!attrs[BITMEM_A_SPREAD_NODE] || !attrs[BITMEM_A_SPREAD_BYTES])
		return;
	memcpy(&bytes, (const char *)attrs[BITMEM_A_SPREAD_BYTES] + NLA_HDRLEN, sizeof(bytes));
	seen->spread += bytes;
}

static int take(const struct bn_reply *reply, void *data)
{
	struct list *list = data;
	struct seen *seen = &list->seen[list->n];

	if (reply->cmd != BITMEM_NL_CMD_BUFFER_GET)
		return -EBADMSG;
	if (list->n == ARRAY_LEN(list->seen))
		return -ENOBUFS;
	*seen = (struct seen) {
		.file = bn_u64(reply, BITMEM_A_BUFFER_FILE),
		.offset = bn_u64(reply, BITMEM_A_BUFFER_OFFSET),
		.length = bn_u64(reply, BITMEM_A_BUFFER_LENGTH),
		.resident = bn_u64(reply, BITMEM_A_BUFFER_RESIDENT),
		.age = bn_u64(reply, BITMEM_A_BUFFER_AGE_NS),
		.uid = bn_u32(reply, BITMEM_A_BUFFER_UID),
		.pid = bn_u32(reply, BITMEM_A_BUFFER_PID),
		.id = bn_u32(reply, BITMEM_A_BUFFER_ID),
		.handles = bn_u32(reply, BITMEM_A_BUFFER_HANDLES),
		.mappings = bn_u32(reply, BITMEM_A_BUFFER_MAPPINGS),
		.exports = bn_u32(reply, BITMEM_A_BUFFER_EXPORTS),
		.anon = reply->attrs[BITMEM_A_BUFFER_ANON],
		.fixed = reply->attrs[BITMEM_A_BUFFER_FIXED],
		.closed = reply->attrs[BITMEM_A_BUFFER_CLOSED],
	};
	if (reply->attrs[BITMEM_A_BUFFER_SPREAD])
		note_spread(reply->attrs[BITMEM_A_BUFFER_SPREAD], seen);
	strncpy(seen->comm, bn_text(reply, BITMEM_A_BUFFER_COMM), sizeof(seen->comm) - 1);
	strncpy(seen->tag, bn_text(reply, BITMEM_A_BUFFER_TAG), sizeof(seen->tag) - 1);
	strncpy(seen->name, bn_text(reply, BITMEM_A_BUFFER_NAME), sizeof(seen->name) - 1);
	if (list->n && seen->offset <= seen[-1].offset)
		list->disordered = true;
	list->n++;
	return 0;
}

static int dump(struct bn *bn, struct list *list)
{
	list->n = 0;
	list->disordered = false;
	return bn_dump(bn, BITMEM_NL_CMD_BUFFER_GET, take, list);
}

/* The buffer at @offset if it is in the list exactly once, else NULL. */
static const struct seen *find(const struct list *list, uint64_t offset)
{
	const struct seen *found = NULL;
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (list->seen[i].offset != offset)
			continue;
		if (found)
			return NULL;
		found = &list->seen[i];
	}
	return found;
}

/* --- what is told --- */

TEST_F(netlink_buffer, none)
{
	ASSERT_EQ(0, dump(&self->bn, self->list));
	EXPECT_EQ(0, self->list->n);
}

TEST_F(netlink_buffer, every_figure)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc), .length = 3 * self->t.page, .node = BITMEM_NODE_ANY,
		.tag = "blk.0.attn_q.weight",
	};
	struct bitmem_publish publish = { .size = sizeof(publish), .name = "weights" };
	const struct seen *seen;
	char *memory;

	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_ALLOC, &alloc));
	memory = bt_map(self->t.fd, alloc.out_length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	publish.id = alloc.out_id;
	publish.mode = 0600;
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_PUBLISH, &publish));

	ASSERT_EQ(0, dump(&self->bn, self->list));
	ASSERT_EQ(1, self->list->n);
	seen = find(self->list, alloc.out_offset);
	ASSERT_NE(NULL, seen);
	EXPECT_NE(0, seen->file);
	EXPECT_EQ(geteuid(), seen->uid);
	EXPECT_EQ(getpid(), seen->pid);
	EXPECT_STREQ("netlink_buffer", seen->comm);
	EXPECT_EQ(alloc.out_id, seen->id);
	EXPECT_EQ(1, seen->handles);
	EXPECT_EQ(1, seen->mappings);
	EXPECT_EQ(0, seen->exports);
	EXPECT_EQ(alloc.out_length, seen->length);
	EXPECT_EQ(alloc.out_length, seen->resident);
	EXPECT_EQ(alloc.out_length, seen->spread);
	EXPECT_LT(0, seen->age);
	EXPECT_GE(60ull * 1000000000, seen->age);
	EXPECT_STREQ("blk.0.attn_q.weight", seen->tag);
	EXPECT_STREQ("weights", seen->name);
	EXPECT_FALSE(seen->anon);
	EXPECT_FALSE(seen->fixed);
	EXPECT_FALSE(seen->closed);
}

TEST_F(netlink_buffer, decommitted)
{
	struct bitmem_range range = { .size = sizeof(range) };
	struct bitmem_alloc alloc;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 4 * self->t.page, &alloc));
	range.id = alloc.out_id;
	range.length = 3 * self->t.page;
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_DECOMMIT, &range));
	ASSERT_EQ(0, dump(&self->bn, self->list));
	ASSERT_EQ(1, self->list->n);
	EXPECT_EQ(alloc.out_length, self->list->seen[0].length);
	EXPECT_EQ(self->t.page, self->list->seen[0].resident);
	EXPECT_EQ(self->t.page, self->list->seen[0].spread);
}

/* Neither the id nor the descriptor is there: the mapping alone keeps it. */
TEST_F(netlink_buffer, held_by_a_mapping)
{
	struct bitmem_alloc alloc;
	int fd = bt_open();
	char *memory;

	ASSERT_LE(0, fd);
	memory = bt_new(fd, self->t.page, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, bt_free(fd, alloc.out_id));
	close(fd);
	ASSERT_EQ(0, dump(&self->bn, self->list));
	ASSERT_EQ(1, self->list->n);
	EXPECT_EQ(alloc.out_offset, self->list->seen[0].offset);
	EXPECT_EQ(0, self->list->seen[0].id);
	EXPECT_EQ(0, self->list->seen[0].handles);
	EXPECT_EQ(1, self->list->seen[0].mappings);
	EXPECT_FALSE(self->list->seen[0].closed);
	ASSERT_EQ(0, munmap(memory, self->t.page));
	ASSERT_EQ(0, dump(&self->bn, self->list));
	EXPECT_EQ(0, self->list->n);
}

TEST_F(netlink_buffer, made_by_mmap)
{
	char *memory = bt_map(self->t.fd, self->t.page, 0);

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, dump(&self->bn, self->list));
	ASSERT_EQ(1, self->list->n);
	EXPECT_TRUE(self->list->seen[0].anon);
	EXPECT_EQ(1, self->list->seen[0].mappings);
}

/* A dma-buf keeps a buffer whose file is gone; another file's id is counted. */
TEST_F(netlink_buffer, held_by_a_dmabuf)
{
	struct bitmem_export export = { .size = sizeof(export) };
	struct bitmem_import import = { .size = sizeof(import) };
	struct bitmem_alloc alloc;
	int fd = bt_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_alloc(fd, self->t.page, &alloc));
	export.id = alloc.out_id;
	ASSERT_EQ(0, bt_ioctl(fd, BITMEM_EXPORT, &export));
	import.fd = export.out_fd;
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_IMPORT, &import));
	ASSERT_EQ(0, dump(&self->bn, self->list));
	ASSERT_EQ(1, self->list->n);
	EXPECT_EQ(2, self->list->seen[0].handles);
	EXPECT_EQ(alloc.out_id, self->list->seen[0].id);
	EXPECT_EQ(1, self->list->seen[0].exports);
	EXPECT_FALSE(self->list->seen[0].closed);
	close(fd);
	ASSERT_EQ(0, bt_free(self->t.fd, import.out_id));
	ASSERT_EQ(0, dump(&self->bn, self->list));
	ASSERT_EQ(1, self->list->n);
	EXPECT_TRUE(self->list->seen[0].closed);
	EXPECT_EQ(0, self->list->seen[0].handles);
	EXPECT_EQ(0, self->list->seen[0].id);
	close(export.out_fd);
	ASSERT_EQ(0, dump(&self->bn, self->list));
	EXPECT_EQ(0, self->list->n);
}

/* --- many, and while they change --- */

TEST_F(netlink_buffer, many)
{
	struct bitmem_alloc alloc;
	uint64_t *offsets = calloc(MANY, sizeof(*offsets));
	int i;

	ASSERT_NE(NULL, offsets);
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
		offsets[i] = alloc.out_offset;
	}
	ASSERT_EQ(0, dump(&self->bn, self->list));
	EXPECT_EQ(MANY, self->list->n);
	EXPECT_FALSE(self->list->disordered);
	for (i = 0; i < MANY; i++)
		ASSERT_NE(NULL, find(self->list, offsets[i]));
}

/* Allocates and frees until it is killed. */
static void churn(void)
{
	struct bitmem_alloc alloc;
	uint32_t ids[64] = { 0 };
	unsigned int i = 0;
	int fd = bt_open();

	for (;; i++) {
		if (ids[i % 64])
			bt_free(fd, ids[i % 64]);
		ids[i % 64] = bt_alloc(fd, 1, &alloc) ? 0 : alloc.out_id;
	}
}

TEST_F(netlink_buffer, while_others_come_and_go)
{
	enum { STABLE = 300, CHURNERS = 3 };
	unsigned int round, rounds = bt_rounds(30);
	uint64_t offsets[STABLE];
	struct bitmem_alloc alloc;
	pid_t pids[CHURNERS];
	int i;

	for (i = 0; i < CHURNERS; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			churn();
	}
	for (i = 0; i < STABLE; i++) {
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
		offsets[i] = alloc.out_offset;
	}
	for (round = 0; round < rounds; round++) {
		EXPECT_EQ(0, dump(&self->bn, self->list));
		EXPECT_FALSE(self->list->disordered);
		for (i = 0; i < STABLE; i++)
			EXPECT_NE(NULL, find(self->list, offsets[i]));
	}
	for (i = 0; i < CHURNERS; i++) {
		kill(pids[i], SIGKILL);
		EXPECT_EQ(256 + SIGKILL, bt_reap(pids[i]));
	}
}

/*
 * What it stands at goes between two parts of a dump; what comes meanwhile is not
 * in it, or a dump might never end; and a dump is given up half-way.
 */
TEST_F(netlink_buffer, in_parts)
{
	struct bn_request request;
	struct bitmem_alloc alloc;
	int i, fd = bt_open();

	ASSERT_LE(0, fd);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(0, bt_alloc(i % 2 ? fd : self->t.fd, 1, &alloc));
	bn_request(&self->bn, &request, BITMEM_NL_CMD_BUFFER_GET, NLM_F_DUMP);
	ASSERT_EQ(0, bn_send(&self->bn, &request));
	ASSERT_EQ(1, bn_receive(&self->bn, take, self->list));
	EXPECT_LT(0, self->list->n);
	EXPECT_GT(MANY, self->list->n);
	close(fd);
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	do {
		i = bn_receive(&self->bn, take, self->list);
	} while (i == 1);
	EXPECT_EQ(0, i);
	EXPECT_FALSE(self->list->disordered);
	EXPECT_LE(MANY / 2, self->list->n);
	EXPECT_GT(MANY, self->list->n);
	EXPECT_EQ(NULL, find(self->list, alloc.out_offset));

	ASSERT_EQ(0, bn_send(&self->bn, &request));
	ASSERT_EQ(1, bn_receive(&self->bn, NULL, NULL));
	bn_close(&self->bn);
}

/* --- who sees what --- */

/* In a child that is nobody and has a buffer: sees that one only. */
static int sees_own(struct list *list)
{
	struct bitmem_alloc alloc;
	struct bn bn;
	int fd;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	fd = bt_open();
	if (fd < 0 || bn_open(&bn) || dump(&bn, list) || list->n)
		return 2;
	if (bt_alloc(fd, 1, &alloc) || dump(&bn, list) || list->n != 1)
		return 3;
	if (list->seen[0].offset != alloc.out_offset || list->seen[0].uid != NOBODY ||
	    list->seen[0].pid != getpid())
		return 4;
	return 0;
}

TEST_F(netlink_buffer, nobody_sees_their_own)
{
	struct bitmem_alloc alloc;
	struct stat st;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	ASSERT_EQ(0, stat(BT_DEVICE, &st));
	ASSERT_EQ(0, chmod(BT_DEVICE, 0666));
	pid = fork();
	if (!pid)
		_exit(sees_own(self->list));
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_EQ(0, chmod(BT_DEVICE, st.st_mode & 07777));
}

/* The first process of a PID namespace sees itself as 1, and its parent as nobody. */
static int sees_pids(struct list *list, uint64_t parents)
{
	const struct seen *seen;
	struct bitmem_alloc alloc;
	struct bn bn;
	int fd = bt_open();

	if (getpid() != 1 || fd < 0 || bn_open(&bn) || bt_alloc(fd, 1, &alloc) || dump(&bn, list))
		return 1;
	seen = find(list, alloc.out_offset);
	if (!seen || seen->pid != 1)
		return 2;
	seen = find(list, parents);
	return seen && !seen->pid && !*seen->comm ? 0 : 3;
}

TEST_F(netlink_buffer, pids_of_a_namespace)
{
	struct bitmem_alloc alloc;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	if (unshare(CLONE_NEWPID)) {
		ASSERT_EQ(EINVAL, errno);
		SKIP(return, "the kernel has no PID namespaces");
	}
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	pid = fork();
	if (!pid)
		_exit(sees_pids(self->list, alloc.out_offset));
	EXPECT_EQ(0, bt_reap(pid));
}

BT_MAIN
