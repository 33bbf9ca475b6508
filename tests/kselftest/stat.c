// SPDX-License-Identifier: GPL-2.0
/*
 * The device node: what it is, and who may open it.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define NOBODY	65534

FIXTURE(stat) {
	struct stat node;
};

FIXTURE_SETUP(stat)
{
	if (stat(BT_DEVICE, &self->node))
		SKIP(return, "%s: %s", BT_DEVICE, strerror(errno));
}

FIXTURE_TEARDOWN(stat)
{
}

TEST_F(stat, character_device)
{
	unsigned int major, minor;
	FILE *file;

	EXPECT_TRUE(S_ISCHR(self->node.st_mode));
	EXPECT_EQ(1, self->node.st_nlink);
	file = fopen("/sys/class/misc/bitmem/dev", "re");
	ASSERT_NE(NULL, file);
	ASSERT_EQ(2, fscanf(file, "%u:%u", &major, &minor));
	fclose(file);
	EXPECT_EQ(major, major(self->node.st_rdev));
	EXPECT_EQ(minor, minor(self->node.st_rdev));
}

/* Pinned memory is not for everybody. */
TEST_F(stat, not_for_others)
{
	EXPECT_EQ(0, self->node.st_mode & 0007);
	EXPECT_EQ(0600, self->node.st_mode & 0600);
	EXPECT_EQ(0, self->node.st_uid);
}

TEST_F(stat, unprivileged_user)
{
	pid_t child;

	if (geteuid())
		SKIP(return, "needs root to become somebody else");
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(1);
		if (bt_open() >= 0 || errno != EACCES)
			_exit(2);
		_exit(open(BT_DEVICE, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ? 3 : 0);
	}
	EXPECT_EQ(0, bt_reap(child));
}

/* Of the group it is enough to be. */
TEST_F(stat, group_member)
{
	pid_t child;

	if (geteuid())
		SKIP(return, "needs root to become somebody else");
	if (!(self->node.st_mode & 0060))
		SKIP(return, "the group may not open it either");
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct bitmem_alloc alloc;
		int fd;

		if (setgroups(0, NULL) || setgid(self->node.st_gid) || setuid(NOBODY))
			_exit(1);
		fd = bt_open();
		_exit(fd < 0 || !bt_new(fd, 1, &alloc));
	}
	EXPECT_EQ(0, bt_reap(child));
}

/* There is nothing in the file but mappings and ioctls. */
TEST_F(stat, no_read_or_write)
{
	int fd = bt_open();
	char byte = 0;

	if (fd < 0)
		SKIP(return, "%s: %s", BT_DEVICE, strerror(errno));
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(-1, fallocate(fd, 0, 0, 4096));
	close(fd);
}

BT_MAIN
