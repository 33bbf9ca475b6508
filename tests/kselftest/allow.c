// SPDX-License-Identifier: GPL-2.0
/*
 * Who may attach a named buffer: user, group and others by the bits of its mode,
 * CAP_DAC_OVERRIDE, user namespaces; and what a descriptor handed to another user
 * is good for. Needs root to become all those users.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define OWNER	1001
#define STAFF	2001	/* the owner's group */
#define NAME	"name"

/* What came of an attempt: an exit status. */
enum outcome {
	READWRITE = 10,
	READONLY,
	REFUSED,
	NOT_FOUND,
	INVALID,
	STRANGE,
};

FIXTURE(allow) {
	struct bt t;
	struct bitmem_alloc alloc;
};

FIXTURE_SETUP(allow)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	if (geteuid())
		SKIP(return, "only root can become others");
	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &self->alloc));
}

FIXTURE_TEARDOWN_PARENT(allow)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

struct person {
	uid_t uid;
	gid_t gid;
	gid_t group;		/* a supplementary one, or 0 */
};

static const struct person owner = { OWNER, STAFF, 0 };

/* Becomes @who, for good and without a capability unless that is root. */
static bool become(const struct person *who)
{
	return !setgroups(!!who->group, &who->group) &&
	       !setresgid(who->gid, who->gid, who->gid) &&
	       !setresuid(who->uid, who->uid, who->uid);
}

/* Takes CAP_DAC_OVERRIDE from root. */
static bool disarm(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return false;
	data[0].effective &= ~(1u << CAP_DAC_OVERRIDE);
	return !syscall(SYS_capset, &header, data);
}

/* Names the buffer as the owner, who has it from us. */
static int publish_as(const struct person *who, int fd, uint32_t id, const char *name,
		      uint32_t mode)
{
	pid_t child = fork();

	if (!child)
		_exit(become(who) ? -bt_publish(fd, id, name, mode) : 255);
	return child < 0 ? -errno : -bt_reap(child);
}

static enum outcome attempt(int fd, uint32_t uid, uint32_t flags)
{
	struct bitmem_attach attach;
	struct bitmem_query query;

	switch (bt_attach(fd, uid, NAME, flags, &attach)) {
	case 0:
		break;
	case -EACCES:
		return REFUSED;
	case -ENOENT:
		return NOT_FOUND;
	case -EINVAL:
		return INVALID;
	default:
		return STRANGE;
	}
	if (bt_query(fd, attach.out_id, 0, &query))
		return STRANGE;
	return query.out_flags & BITMEM_BUFFER_READONLY ? READONLY : READWRITE;
}

/* What @who, not root any more, gets on a file of his own. */
static enum outcome attempt_as(const struct person *who, uint32_t uid, uint32_t flags)
{
	pid_t child = fork();

	if (!child) {
		int fd = bt_open();

		_exit(become(who) ? attempt(fd, uid, flags) : STRANGE);
	}
	return bt_reap(child);
}

static enum outcome granted(unsigned int bits)
{
	return !(bits & 4) ? REFUSED : bits & 2 ? READWRITE : READONLY;
}

/* Every combination of bits, for each of the three. The first that fits a user counts alone. */
TEST_F(allow, modes)
{
	const struct person people[] = {
		{ OWNER, 3000, 0 }, { 1002, STAFF, 0 }, { 1002, 3000, STAFF },
		{ 1002, 3000, 0 },
	};
	const int shift[] = { 6, 3, 3, 0 };
	unsigned int user, group, others;
	size_t i;

	for (user = 0; user < 8; user += 2) {
		for (group = 0; group < 8; group += 2) {
			for (others = 0; others < 8; others += 2) {
				const unsigned int mode = user << 6 | group << 3 | others;

				ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id,
							NAME, mode));
				for (i = 0; i < ARRAY_LEN(people); i++)
					EXPECT_EQ(granted(mode >> shift[i]),
						  attempt_as(&people[i], OWNER, 0))
						TH_LOG("mode %#o, person %zu", mode, i);
				ASSERT_EQ(0, bt_unpublish(self->t.fd, self->alloc.out_id));
			}
		}
	}
}

TEST_F(allow, asking_for_less)
{
	const struct person other = { 1002, 3000, 0 };

	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0606));
	EXPECT_EQ(READONLY, attempt_as(&other, OWNER, BITMEM_ATTACH_READONLY));
	ASSERT_EQ(0, bt_unpublish(self->t.fd, self->alloc.out_id));
	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0602));
	/* Writing without reading is nothing. */
	EXPECT_EQ(REFUSED, attempt_as(&other, OWNER, BITMEM_ATTACH_READONLY));
	EXPECT_EQ(REFUSED, attempt_as(&other, OWNER, 0));
}

/* A user who may not has nothing to show for it. */
TEST_F(allow, refused_is_refused)
{
	pid_t child;

	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0600));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		const struct person other = { 1002, 3000, 0 };
		struct bitmem_query query;
		int fd = bt_open();

		if (!become(&other) || attempt(fd, OWNER, 0) != REFUSED)
			_exit(1);
		if (bt_query(fd, 0, BITMEM_QUERY_NEXT, &query) != -ENOENT)
			_exit(2);
		/* Guessing where it lies does not help. */
		if (bt_map(fd, self->t.page, self->alloc.out_offset) || errno != ENXIO)
			_exit(3);
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(child));
}

/* Names are each user's own; the publisher is who calls, not who opened the file. */
TEST_F(allow, same_name)
{
	const struct person other = { 1002, 3000, 0 };
	struct bitmem_alloc second, third;
	struct bitmem_attach attach;

	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &second));
	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &third));
	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0600));
	EXPECT_EQ(-EEXIST, publish_as(&owner, self->t.fd, second.out_id, NAME, 0600));
	ASSERT_EQ(0, publish_as(&other, self->t.fd, second.out_id, NAME, 0600));
	ASSERT_EQ(0, bt_publish(self->t.fd, third.out_id, NAME, 0600));
	ASSERT_EQ(0, bt_attach(self->t.fd, OWNER, NAME, 0, &attach));
	EXPECT_EQ(self->alloc.out_offset, attach.out_offset);
	ASSERT_EQ(0, bt_attach(self->t.fd, 1002, NAME, 0, &attach));
	EXPECT_EQ(second.out_offset, attach.out_offset);
	ASSERT_EQ(0, bt_attach(self->t.fd, BITMEM_UID_SELF, NAME, 0, &attach));
	EXPECT_EQ(third.out_offset, attach.out_offset);
	EXPECT_EQ(-ENOENT, bt_attach(self->t.fd, 1003, NAME, 0, &attach));
	EXPECT_EQ(READWRITE, attempt_as(&owner, BITMEM_UID_SELF, 0));
}

/* The effective user counts, as for files. */
TEST_F(allow, effective_user)
{
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child) {
		int fd = bt_open();

		if (setresuid(0, OWNER, 0) ||
		    bt_publish(self->t.fd, self->alloc.out_id, NAME, 0600))
			_exit(1);
		if (attempt(fd, BITMEM_UID_SELF, 0) != READWRITE)
			_exit(2);
		if (setresuid(OWNER, 0, 0) || setresuid(OWNER, 1002, 1002))
			_exit(3);
		_exit(attempt(fd, OWNER, 0) == REFUSED ? 0 : 4);
	}
	EXPECT_EQ(0, bt_reap(child));
}

TEST_F(allow, capability)
{
	const struct person root = { 0, 0, 0 };
	pid_t child;

	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0));
	EXPECT_EQ(READWRITE, attempt_as(&root, OWNER, 0));
	EXPECT_EQ(READONLY, attempt_as(&root, OWNER, BITMEM_ATTACH_READONLY));
	EXPECT_EQ(REFUSED, attempt_as(&owner, OWNER, 0));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int fd = bt_open();

		_exit(disarm() ? attempt(fd, OWNER, 0) : STRANGE);
	}
	EXPECT_EQ(REFUSED, bt_reap(child));
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

/*
 * As the owner, in a user namespace of his own where he is root: with his user
 * mapped, and his group as well if @group. What he gets of @uid's name.
 */
static enum outcome attempt_inside(bool group, uint32_t uid)
{
	pid_t child = fork();

	if (!child) {
		int fd = bt_open();

		/* Becoming somebody else made the files of /proc/self root's. */
		if (!become(&owner) || prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER))
			_exit(1);
		if (!write_text("/proc/self/uid_map", "0 1001 1"))
			_exit(2);
		if (group && (!write_text("/proc/self/setgroups", "deny") ||
			      !write_text("/proc/self/gid_map", "0 2001 1")))
			_exit(3);
		_exit(attempt(fd, uid, 0));
	}
	return bt_reap(child);
}

TEST_F(allow, user_namespace)
{
	enum outcome first;

	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0600));
	first = attempt_inside(true, 0);
	if (first == 1)
		SKIP(return, "no user namespaces");
	/* Users are told by the numbers that they have in there. */
	EXPECT_EQ(READWRITE, first);
	EXPECT_EQ(READWRITE, attempt_inside(true, BITMEM_UID_SELF));
	EXPECT_EQ(INVALID, attempt_inside(true, OWNER));
	EXPECT_EQ(INVALID, attempt_inside(true, 1));
	/* Root in there overrides what he has in there, and nothing else. */
	ASSERT_EQ(0, bt_unpublish(self->t.fd, self->alloc.out_id));
	ASSERT_EQ(0, publish_as(&owner, self->t.fd, self->alloc.out_id, NAME, 0));
	EXPECT_EQ(READWRITE, attempt_inside(true, 0));
	EXPECT_EQ(REFUSED, attempt_inside(false, 0));
}

/* A descriptor is a capability: whoever was given the file may use what is in it. */
TEST_F(allow, handed_over)
{
	const struct person other = { 1002, 3000, 0 };
	struct bitmem_query query;
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child) {
		const uint32_t id = self->alloc.out_id;
		struct bitmem_alloc alloc;

		if (!become(&other) || bt_open() >= 0)
			_exit(1);
		if (!bt_map(self->t.fd, self->t.page, self->alloc.out_offset))
			_exit(2);
		if (bt_alloc(self->t.fd, 1, &alloc) || bt_free(self->t.fd, id))
			_exit(3);
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(child));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, self->alloc.out_id, 0, &query));
	EXPECT_EQ(0, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
}

BT_MAIN
