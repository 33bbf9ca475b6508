// SPDX-License-Identifier: GPL-2.0
/*
 * The rules that all ioctls share, each tried on every one of them: @size and
 * what follows the structure, undefined flags, reserved members, addresses that
 * cannot be used, outputs that stay untouched on failure; and numbers that are
 * no ioctl of ours.
 *
 * The argument lies at the end of a page before one that cannot be accessed, so
 * that a kernel reading or writing too far is seen.
 */
#include "commands.h"
#include "bitmem_harness.h"

#include <asm/termbits.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>

FIXTURE(ioctl) {
	struct bt t;
	char *page;		/* followed by one without access */
	size_t size;		/* of a page */
};

FIXTURE_VARIANT(ioctl) {
	const struct bt_command *command;
};

#define VARIANT(_name, _upper)					\
	FIXTURE_VARIANT_ADD(ioctl, _name) {			\
		.command = BT_COMMAND(BITMEM_CMD_##_upper),	\
	}

VARIANT(info, INFO);
VARIANT(pool_info, POOL_INFO);
VARIANT(alloc, ALLOC);
VARIANT(free, FREE);
VARIANT(query, QUERY);
VARIANT(alloc_many, ALLOC_MANY);
VARIANT(free_many, FREE_MANY);
VARIANT(commit, COMMIT);
VARIANT(decommit, DECOMMIT);
VARIANT(export, EXPORT);
VARIANT(import, IMPORT);
VARIANT(publish, PUBLISH);
VARIANT(attach, ATTACH);
VARIANT(migrate, MIGRATE);
VARIANT(compact, COMPACT);
VARIANT(trim, TRIM);
VARIANT(limit, LIMIT);
VARIANT(segments, SEGMENTS);

FIXTURE_SETUP(ioctl)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	if (variant->command->privileged && geteuid())
		SKIP(return, "only root may");
	self->size = self->t.page;
	self->page = mmap(NULL, 2 * self->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(0, mprotect(self->page + self->size, self->size, PROT_NONE));
}

FIXTURE_TEARDOWN_PARENT(ioctl)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* A valid argument followed by @tail zero bytes, ending where the page ends. */
static void *valid(struct __test_metadata *_metadata, FIXTURE_DATA(ioctl) *self,
		   const struct bt_command *command, size_t tail)
{
	char *at = self->page + self->size - command->first - tail;

	memset(self->page, 0, self->size);
	ASSERT_EQ(0, bt_prepare(command, self->t.fd, at));
	*(__u32 *)at = command->first + tail;
	return at;
}

/* The error of a call; -EPROTO if it changed its argument all the same. */
static int refused(FIXTURE_DATA(ioctl) *self, unsigned long cmd, void *arg)
{
	char before[65536];
	int err;

	memcpy(before, self->page, self->size);
	err = bt_ioctl(self->t.fd, cmd, arg);
	if (err && memcmp(before, self->page, self->size))
		return -EPROTO;
	return err;
}

TEST_F(ioctl, valid)
{
	const struct bt_command *command = variant->command;
	char *arg = valid(_metadata, self, command, 0);
	char before[BT_ARG_MAX];

	memcpy(before, arg, command->first);
	EXPECT_EQ(0, bt_ioctl(self->t.fd, command->cmd, arg));
	EXPECT_EQ(command->first, *(__u32 *)arg);
	EXPECT_EQ(command->writes, !!memcmp(before, arg, command->first));
}

TEST_F(ioctl, every_shorter_size)
{
	const struct bt_command *command = variant->command;
	uint32_t *arg = valid(_metadata, self, command, 0);
	uint32_t size;

	for (size = 0; size < command->first; size++) {
		*arg = size;
		EXPECT_EQ(-EINVAL, refused(self, command->cmd, arg))
			TH_LOG("size %u", size);
	}
}

TEST_F(ioctl, longer_with_zeros)
{
	const struct bt_command *command = variant->command;
	const size_t most = self->size - command->first;
	size_t tail;

	for (tail = 1; tail <= most; tail += tail < 64 ? 1 : 509) {
		char *arg = valid(_metadata, self, command, tail);

		EXPECT_EQ(0, bt_ioctl(self->t.fd, command->cmd, arg))
			TH_LOG("%zu more bytes", tail);
		EXPECT_EQ(command->first + tail, *(__u32 *)arg);
		EXPECT_EQ(0, arg[command->first]);
		EXPECT_EQ(0, arg[command->first + tail - 1]);
	}
}

TEST_F(ioctl, longer_with_garbage)
{
	const struct bt_command *command = variant->command;
	const size_t tails[] = { 1, 3, 4, 8, 17, 64, 1000 };
	size_t i, at;

	for (i = 0; i < ARRAY_LEN(tails); i++) {
		char *arg = valid(_metadata, self, command, tails[i]);

		for (at = 0; at < tails[i]; at++) {
			arg[command->first + at] = 1;
			EXPECT_EQ(-E2BIG, refused(self, command->cmd, arg))
				TH_LOG("byte %zu of %zu", at, tails[i]);
			arg[command->first + at] = 0;
		}
	}
}

/* More than a page is refused unread; less is looked at as far as there is memory. */
TEST_F(ioctl, longer_than_memory)
{
	const struct bt_command *command = variant->command;
	const uint32_t page = sysconf(_SC_PAGESIZE);
	const uint32_t sizes[] = { 1, 8, 2048, 4096, INT_MAX - 4096, UINT_MAX - 4096 };
	uint32_t *arg = valid(_metadata, self, command, 0);
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		*arg = command->first + sizes[i];
		EXPECT_EQ(*arg > page ? -E2BIG : -EFAULT, refused(self, command->cmd, arg))
			TH_LOG("%u bytes more than there are", sizes[i]);
	}
}

TEST_F(ioctl, unknown_flags_and_reserved)
{
	const struct bt_command *command = variant->command;
	uint32_t *arg = valid(_metadata, self, command, 0);
	const uint32_t flags = arg[1];
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (command->flags & 1u << bit)
			continue;
		arg[1] = flags | 1u << bit;
		EXPECT_EQ(-EOPNOTSUPP, refused(self, command->cmd, arg))
			TH_LOG("flag %d", bit);
	}
	arg[1] = UINT_MAX;
	EXPECT_EQ(-EOPNOTSUPP, refused(self, command->cmd, arg));
	arg[1] = flags;
	for (bit = 0; bit < 32 && command->reserved; bit++) {
		arg[command->reserved / sizeof(*arg)] = 1u << bit;
		EXPECT_EQ(-EOPNOTSUPP, refused(self, command->cmd, arg))
			TH_LOG("bit %d of the reserved member", bit);
	}
}

TEST_F(ioctl, bad_address)
{
	const struct bt_command *command = variant->command;
	char *guard = self->page + self->size;
	size_t missing;

	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, command->cmd, NULL));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, command->cmd, (void *)1));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, command->cmd, guard));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, command->cmd, (void *)(LONG_MAX - 4095)));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, command->cmd, (void *)-4096));

	/* Only the first part of the structure can be read, or not even its size. */
	for (missing = 1; missing < command->first; missing++) {
		char *arg = valid(_metadata, self, command, 0);

		memmove(arg + missing, arg, command->first - missing);
		EXPECT_EQ(-EFAULT, refused(self, command->cmd, arg + missing))
			TH_LOG("%zu bytes missing", missing);
	}
}

/* Nothing may be left behind by a call whose outputs cannot be written. */
TEST_F(ioctl, read_only_memory)
{
	const struct bt_command *command = variant->command;
	void *arg = valid(_metadata, self, command, 0);
	struct bitmem_pool_info before, after;
	struct bitmem_query query;

	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, mprotect(self->page, self->size, PROT_READ));
	EXPECT_EQ(command->writes ? -EFAULT : 0, bt_ioctl(self->t.fd, command->cmd, arg));
	if (!command->takes_id) {
		ASSERT_EQ(0, bt_total(self->t.fd, &after));
		EXPECT_EQ(before.out_allocated, after.out_allocated);
		EXPECT_EQ(-ENOENT, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
	}
}

BT_FIXTURE(number);

static bool known(unsigned int nr)
{
	return nr >= BITMEM_CMD_BASE && nr <= BITMEM_CMD_SEGMENTS;
}

TEST_F(number, unknown)
{
	struct bitmem_info info;
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		if (known(nr))
			continue;
		memset(&info, 0, sizeof(info));
		info.size = sizeof(info);
		EXPECT_EQ(-ENOTTY, bt_ioctl(self->t.fd, _IO(BITMEM_TYPE, nr), &info))
			TH_LOG("number %#x", nr);
		EXPECT_EQ(-ENOTTY, bt_ioctl(self->t.fd, _IO(BITMEM_TYPE, nr), NULL));
	}
}

/* The known numbers with another type, direction or size are not ours either. */
TEST_F(number, disguised)
{
	struct bitmem_info info = { .size = sizeof(info) };
	unsigned int nr;

	for (nr = BITMEM_CMD_BASE; known(nr); nr++) {
		const unsigned long cmds[] = {
			_IO(BITMEM_TYPE + 1, nr), _IO(0, nr), _IO('T', nr),
			_IOR(BITMEM_TYPE, nr, __u32), _IOW(BITMEM_TYPE, nr, __u32),
			_IOWR(BITMEM_TYPE, nr, struct bitmem_info),
			_IOC(_IOC_NONE, BITMEM_TYPE, nr, 1),
		};
		size_t i;

		for (i = 0; i < ARRAY_LEN(cmds); i++) {
			EXPECT_EQ(-ENOTTY, bt_ioctl(self->t.fd, cmds[i], &info))
				TH_LOG("ioctl %#lx", cmds[i]);
		}
	}
}

TEST_F(number, of_others)
{
	char terminal[256];

	EXPECT_EQ(-ENOTTY, bt_ioctl(self->t.fd, TCGETS, terminal));
	EXPECT_EQ(-ENOTTY, bt_ioctl(self->t.fd, FIONREAD, terminal));
}

BT_MAIN
