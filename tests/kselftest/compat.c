// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls as a 32-bit process calls them. On x86-64 any process can enter the
 * kernel that way (int 0x80), so that no 32-bit compiler or library is needed.
 */
#include "commands.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>

#define NR_IOCTL_32	54

union arg {
	struct bitmem_info info;
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	struct bitmem_free free;
	struct bitmem_query query;
	uint64_t nodes[512];
};

FIXTURE(compat) {
	struct bt t;
	union arg *arg;		/* below 4 GiB */
};

#ifdef __x86_64__
static int ioctl_32(int fd, unsigned int cmd, void *arg)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "0" (NR_IOCTL_32), "b" ((long)fd), "c" ((long)cmd),
		       "d" ((uintptr_t)arg)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return ret;
}

static void *map_low(size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}
#else
static int ioctl_32(int fd, unsigned int cmd, void *arg)
{
	(void)fd;
	(void)cmd;
	(void)arg;
	return -ENOSYS;
}

static void *map_low(size_t length)
{
	(void)length;
	return MAP_FAILED;
}
#endif

/* Without 32-bit support int 0x80 kills. */
static bool supported(int fd, struct bitmem_info *info)
{
	pid_t child = fork();

	if (!child) {
		memset(info, 0, sizeof(*info));
		info->size = sizeof(*info);
		_exit(ioctl_32(fd, BITMEM_INFO, info) == -ENOSYS);
	}
	return child > 0 && !bt_reap(child);
}

FIXTURE_SETUP(compat)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->arg = map_low(2 * sizeof(*self->arg));
	if (self->arg == MAP_FAILED || !supported(self->t.fd, &self->arg->info))
		SKIP(return, "no 32-bit system calls");
	memset(self->arg, 0, sizeof(*self->arg));
}

FIXTURE_TEARDOWN_PARENT(compat)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

TEST_F(compat, info)
{
	struct bitmem_info *info = &self->arg->info, native;

	ASSERT_EQ(0, bt_info(self->t.fd, &native));
	info->size = sizeof(*info);
	ASSERT_EQ(0, ioctl_32(self->t.fd, BITMEM_INFO, info));
	EXPECT_EQ(0, memcmp(&native, info, sizeof(native)));
}

TEST_F(compat, pool_info)
{
	struct bitmem_pool_info *pool = &self->arg->pool, native;

	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &native));
	pool->size = sizeof(*pool);
	ASSERT_EQ(0, ioctl_32(self->t.fd, BITMEM_POOL_INFO, pool));
	EXPECT_EQ(native.out_capacity, pool->out_capacity);
	EXPECT_EQ(native.out_allocs, pool->out_allocs);
	EXPECT_EQ(native.out_failures, pool->out_failures);
}

TEST_F(compat, buffer)
{
	struct bitmem_query *query = &self->arg->query;
	struct bitmem_alloc *alloc = &self->arg->alloc;
	struct bitmem_free *free = &self->arg->free;
	uint64_t sum = 0, *nodes = self->arg[1].nodes;
	uint32_t id, i;
	char *memory;

	alloc->size = sizeof(*alloc);
	alloc->length = 3 * self->t.page;
	alloc->node = BITMEM_NODE_ANY;
	ASSERT_EQ(0, ioctl_32(self->t.fd, BITMEM_ALLOC, alloc));
	id = alloc->out_id;
	memory = bt_map(self->t.fd, alloc->out_length, alloc->out_offset);
	ASSERT_NE(NULL, memory);
	bt_touch(memory, 3 * self->t.page, self->t.page);
	ASSERT_EQ(0, munmap(memory, 3 * self->t.page));

	memset(query, 0, sizeof(*query));
	query->size = sizeof(*query);
	query->id = id;
	query->node_count = ARRAY_LEN(self->arg->nodes);
	query->node_bytes = (uintptr_t)nodes;
	ASSERT_EQ(0, ioctl_32(self->t.fd, BITMEM_QUERY, query));
	EXPECT_EQ(3 * self->t.page, query->out_length);
	for (i = 0; i < self->t.nodes; i++)
		sum += nodes[i];
	EXPECT_EQ(query->out_length, sum);

	memset(free, 0, sizeof(*free));
	free->size = sizeof(*free);
	free->id = id;
	EXPECT_EQ(0, ioctl_32(self->t.fd, BITMEM_FREE, free));
	EXPECT_EQ(-ENOENT, ioctl_32(self->t.fd, BITMEM_FREE, free));
}

/* Structures and numbers are the same for all commands; what is long inside is 64 bits wide. */
TEST_F(compat, every_command)
{
	char native[BT_ARG_MAX];
	size_t i;

	for (i = 0; i < ARRAY_LEN(bt_commands); i++) {
		const struct bt_command *command = &bt_commands[i];
		int expected = command->privileged && geteuid() ? -EPERM : 0;

		memset(self->arg, 0, sizeof(*self->arg));
		ASSERT_EQ(0, bt_prepare(command, self->t.fd, self->arg));
		memcpy(native, self->arg, command->first);
		EXPECT_EQ(expected, ioctl_32(self->t.fd, command->cmd, self->arg))
			TH_LOG("%s", command->name);
		EXPECT_EQ(command->writes && !expected,
			  !!memcmp(native, self->arg, command->first));
		/* The structure ends where it does for others: not a byte is written behind it. */
		EXPECT_EQ(0, ((char *)self->arg)[command->first]);
		((char *)self->arg)[command->first] = 1;
		*(uint32_t *)self->arg = command->first + 1;
		EXPECT_EQ(-E2BIG, ioctl_32(self->t.fd, command->cmd, self->arg))
			TH_LOG("%s", command->name);
	}
}

TEST_F(compat, refused)
{
	struct bitmem_info *info = &self->arg->info;

	EXPECT_EQ(-ENOTTY, ioctl_32(self->t.fd, 0xbc00, info));
	EXPECT_EQ(-EFAULT, ioctl_32(self->t.fd, BITMEM_INFO, NULL));
	EXPECT_EQ(-EINVAL, ioctl_32(self->t.fd, BITMEM_INFO, info));
	info->size = sizeof(*info);
	info->flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, ioctl_32(self->t.fd, BITMEM_INFO, info));
	info->flags = 0;
	info->size = sizeof(*info) + 8;
	((uint64_t *)(info + 1))[0] = 1;
	EXPECT_EQ(-E2BIG, ioctl_32(self->t.fd, BITMEM_INFO, info));
}

BT_MAIN
