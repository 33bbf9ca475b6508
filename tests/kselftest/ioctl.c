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
#include "bitmem_test.h"

#include <asm/termbits.h>
#include <errno.h>
#include <kselftest_harness.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>

union arg {
	struct bitmem_info info;
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	struct bitmem_free free;
	struct bitmem_query query;
};

/* What a valid call is told; output members hold rubbish, which is to be ignored. */
static void info_arg(union arg *arg, uint32_t id)
{
	(void)id;
	arg->info = (struct bitmem_info) {
		.size = sizeof(arg->info), .out_abi = 99, .out_page_size = 1, .out_pools = -1u,
	};
}

static void pool_arg(union arg *arg, uint32_t id)
{
	(void)id;
	arg->pool = (struct bitmem_pool_info) {
		.size = sizeof(arg->pool), .out_node = -77, .__out_reserved = 5,
		.out_capacity = 12345, .out_failures = -1ull,
	};
}

static void alloc_arg(union arg *arg, uint32_t id)
{
	(void)id;
	arg->alloc = (struct bitmem_alloc) {
		.size = sizeof(arg->alloc), .length = 1, .node = BITMEM_NODE_ANY,
		.out_id = 0xdeadbeef, .out_offset = -1ull, .out_length = 7,
	};
}

static void free_arg(union arg *arg, uint32_t id)
{
	arg->free = (struct bitmem_free) { .size = sizeof(arg->free), .id = id };
}

static void query_arg(union arg *arg, uint32_t id)
{
	arg->query = (struct bitmem_query) {
		.size = sizeof(arg->query), .id = id, .out_id = 0xdeadbeef, .out_flags = -1u,
		.out_length = -1ull, .__out_reserved = 9, .out_tag = "rubbish",
	};
}

FIXTURE(ioctl) {
	struct bt t;
	char *page;		/* followed by one without access */
	size_t size;		/* of a page */
};

/* @first: the size in the first release; @reserved: offset of a reserved member, or 0 */
FIXTURE_VARIANT(ioctl) {
	unsigned long cmd;
	size_t first;
	void (*arg)(union arg *arg, uint32_t id);
	bool takes_id;
	bool writes;
	uint32_t flags;
	size_t reserved;
};

FIXTURE_VARIANT_ADD(ioctl, info) {
	.cmd = BITMEM_INFO, .first = 48, .arg = info_arg, .writes = true,
};

FIXTURE_VARIANT_ADD(ioctl, pool_info) {
	.cmd = BITMEM_POOL_INFO, .first = 136, .arg = pool_arg, .writes = true,
	.reserved = offsetof(struct bitmem_pool_info, __reserved),
};

FIXTURE_VARIANT_ADD(ioctl, alloc) {
	.cmd = BITMEM_ALLOC, .first = 80, .arg = alloc_arg, .writes = true,
	.flags = BITMEM_ALLOC_BIND,
	.reserved = offsetof(struct bitmem_alloc, __reserved),
};

FIXTURE_VARIANT_ADD(ioctl, free) {
	.cmd = BITMEM_FREE, .first = 16, .arg = free_arg, .takes_id = true,
	.reserved = offsetof(struct bitmem_free, __reserved),
};

FIXTURE_VARIANT_ADD(ioctl, query) {
	.cmd = BITMEM_QUERY, .first = 112, .arg = query_arg, .takes_id = true, .writes = true,
	.flags = BITMEM_QUERY_NEXT,
};

FIXTURE_SETUP(ioctl)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
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
		   const FIXTURE_VARIANT(ioctl) *variant, size_t tail)
{
	char *at = self->page + self->size - variant->first - tail;
	struct bitmem_alloc buffer = {};
	union arg arg;

	if (variant->takes_id)
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &buffer));
	memset(&arg, 0, sizeof(arg));
	variant->arg(&arg, buffer.out_id);
	memset(self->page, 0, self->size);
	memcpy(at, &arg, variant->first);
	*(__u32 *)at = variant->first + tail;
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
	char *arg = valid(_metadata, self, variant, 0);
	char before[sizeof(union arg)];

	memcpy(before, arg, variant->first);
	EXPECT_EQ(0, bt_ioctl(self->t.fd, variant->cmd, arg));
	EXPECT_EQ(variant->first, *(__u32 *)arg);
	EXPECT_EQ(variant->writes, !!memcmp(before, arg, variant->first));
}

TEST_F(ioctl, every_shorter_size)
{
	uint32_t *arg = valid(_metadata, self, variant, 0);
	uint32_t size;

	for (size = 0; size < variant->first; size++) {
		*arg = size;
		EXPECT_EQ(-EINVAL, refused(self, variant->cmd, arg))
			TH_LOG("size %u", size);
	}
}

TEST_F(ioctl, longer_with_zeros)
{
	const size_t most = self->size - variant->first;
	size_t tail;

	for (tail = 1; tail <= most; tail += tail < 64 ? 1 : 509) {
		char *arg = valid(_metadata, self, variant, tail);

		EXPECT_EQ(0, bt_ioctl(self->t.fd, variant->cmd, arg))
			TH_LOG("%zu more bytes", tail);
		EXPECT_EQ(variant->first + tail, *(__u32 *)arg);
		EXPECT_EQ(0, arg[variant->first]);
		EXPECT_EQ(0, arg[variant->first + tail - 1]);
	}
}

TEST_F(ioctl, longer_with_garbage)
{
	const size_t tails[] = { 1, 3, 4, 8, 17, 64, 1000 };
	size_t i, at;

	for (i = 0; i < ARRAY_LEN(tails); i++) {
		char *arg = valid(_metadata, self, variant, tails[i]);

		for (at = 0; at < tails[i]; at++) {
			arg[variant->first + at] = 1;
			EXPECT_EQ(-E2BIG, refused(self, variant->cmd, arg))
				TH_LOG("byte %zu of %zu", at, tails[i]);
			arg[variant->first + at] = 0;
		}
	}
}

/* More than a page is refused unread; less is looked at as far as there is memory. */
TEST_F(ioctl, longer_than_memory)
{
	const uint32_t page = sysconf(_SC_PAGESIZE);
	const uint32_t sizes[] = { 1, 8, 2048, 4096, INT_MAX - 4096, UINT_MAX - 4096 };
	uint32_t *arg = valid(_metadata, self, variant, 0);
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		*arg = variant->first + sizes[i];
		EXPECT_EQ(*arg > page ? -E2BIG : -EFAULT, refused(self, variant->cmd, arg))
			TH_LOG("%u bytes more than there are", sizes[i]);
	}
}

TEST_F(ioctl, unknown_flags_and_reserved)
{
	uint32_t *arg = valid(_metadata, self, variant, 0);
	const uint32_t flags = arg[1];
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (variant->flags & 1u << bit)
			continue;
		arg[1] = flags | 1u << bit;
		EXPECT_EQ(-EOPNOTSUPP, refused(self, variant->cmd, arg))
			TH_LOG("flag %d", bit);
	}
	arg[1] = UINT_MAX;
	EXPECT_EQ(-EOPNOTSUPP, refused(self, variant->cmd, arg));
	arg[1] = flags;
	for (bit = 0; bit < 32 && variant->reserved; bit++) {
		arg[variant->reserved / sizeof(*arg)] = 1u << bit;
		EXPECT_EQ(-EOPNOTSUPP, refused(self, variant->cmd, arg))
			TH_LOG("bit %d of the reserved member", bit);
	}
}

TEST_F(ioctl, bad_address)
{
	char *guard = self->page + self->size;
	size_t missing;

	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, variant->cmd, (void *)1));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, variant->cmd, guard));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, variant->cmd, (void *)(LONG_MAX - 4095)));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, variant->cmd, (void *)-4096));

	/* Only the first part of the structure can be read, or not even its size. */
	for (missing = 1; missing < variant->first; missing++) {
		char *arg = valid(_metadata, self, variant, 0);

		memmove(arg + missing, arg, variant->first - missing);
		EXPECT_EQ(-EFAULT, refused(self, variant->cmd, arg + missing))
			TH_LOG("%zu bytes missing", missing);
	}
}

/* Nothing may be left behind by a call whose outputs cannot be written. */
TEST_F(ioctl, read_only_memory)
{
	void *arg = valid(_metadata, self, variant, 0);
	struct bitmem_pool_info before, after;
	struct bitmem_query query;

	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, mprotect(self->page, self->size, PROT_READ));
	EXPECT_EQ(variant->writes ? -EFAULT : 0, bt_ioctl(self->t.fd, variant->cmd, arg));
	if (!variant->takes_id) {
		ASSERT_EQ(0, bt_total(self->t.fd, &after));
		EXPECT_EQ(before.out_allocated, after.out_allocated);
		EXPECT_EQ(-ENOENT, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
	}
}

BT_FIXTURE(number);

static bool known(unsigned int nr)
{
	return nr >= BITMEM_CMD_BASE && nr <= BITMEM_CMD_QUERY;
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
