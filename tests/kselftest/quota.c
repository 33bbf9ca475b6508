// SPDX-License-Identifier: GPL-2.0
/*
 * Limits of a file and of a user: what counts, who is refused, and that nobody is
 * charged for what he did not get.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/mman.h>

#define NOBODY	65534

FIXTURE(quota) {
	struct bt t;
};

FIXTURE_SETUP(quota)
{
	const char *why;

	if (bl_obstacle)
		SKIP(return, "%s", bl_obstacle);
	why = bl_begin(&self->t, "pool_mb=64 user_quota_mb=16");
	ASSERT_EQ(NULL, why);
}

FIXTURE_TEARDOWN_PARENT(quota)
{
	if (bl_loaded())
		EXPECT_EQ(0, bl_rmmod_soon());
}

static uint64_t used(int fd)
{
	struct bitmem_limit limit;

	return bt_limit(fd, BITMEM_NO_LIMIT, &limit) ? ~0ull : limit.out_used;
}

TEST_F(quota, limit_only_falls)
{
	struct bitmem_limit limit;
	int fd = self->t.fd;

	ASSERT_EQ(0, bt_limit(fd, BITMEM_NO_LIMIT, &limit));
	EXPECT_EQ(BITMEM_NO_LIMIT, limit.out_limit);
	EXPECT_EQ(0, limit.out_used);
	ASSERT_EQ(0, bt_limit(fd, 1000000, &limit));
	EXPECT_EQ(1000000, limit.out_limit);
	ASSERT_EQ(0, bt_limit(fd, 1000000, &limit));
	EXPECT_EQ(-EPERM, bt_limit(fd, 1000001, &limit));
	EXPECT_EQ(-EPERM, bt_limit(fd, BITMEM_NO_LIMIT - 1, &limit));
	ASSERT_EQ(0, bt_limit(fd, BITMEM_NO_LIMIT, &limit));
	EXPECT_EQ(1000000, limit.out_limit);
	ASSERT_EQ(0, bt_limit(fd, 0, &limit));
	EXPECT_EQ(0, limit.out_limit);
	EXPECT_EQ(-EPERM, bt_limit(fd, 1, &limit));
	close(fd);
}

/* To the page; what does not fit is not charged; other files are not concerned. */
TEST_F(quota, limit_of_a_file)
{
	const size_t page = self->t.page;
	int fd = self->t.fd, other = bt_open();
	struct bitmem_limit limit;
	struct bitmem_alloc alloc, first;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_limit(fd, 10 * page, &limit));
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 10 * page + 1, &alloc));
	EXPECT_EQ(0, used(fd));
	ASSERT_EQ(0, bt_alloc(fd, 7 * page, &first));
	EXPECT_EQ(7 * page, used(fd));
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 4 * page, &alloc));
	EXPECT_EQ(7 * page, used(fd));
	ASSERT_EQ(0, bt_alloc(fd, 3 * page, &alloc));
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 1, &alloc));
	EXPECT_EQ(0, bt_alloc(other, 11 * page, &alloc));
	ASSERT_EQ(0, bt_free(fd, first.out_id));
	EXPECT_EQ(3 * page, used(fd));
	EXPECT_EQ(0, bt_alloc(fd, 7 * page, &alloc));
	/* Less than it has: it keeps that, and gets no more. */
	ASSERT_EQ(0, bt_limit(fd, page, &limit));
	EXPECT_EQ(10 * page, limit.out_used);
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 1, &alloc));
	close(fd);
	close(other);
}

/* A mapping at offset 0 is an allocation like any other. */
TEST_F(quota, limit_of_mappings)
{
	const size_t page = self->t.page;
	struct bitmem_limit limit;
	void *memory;
	int fd = self->t.fd;

	ASSERT_EQ(0, bt_limit(fd, 4 * page, &limit));
	EXPECT_EQ(NULL, bt_map(fd, 5 * page, 0));
	EXPECT_TRUE(errno == EDQUOT || errno == ENOMEM);
	memory = bt_map(fd, 4 * page, 0);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(4 * page, used(fd));
	EXPECT_EQ(NULL, bt_map(fd, page, 0));
	ASSERT_EQ(0, munmap(memory, 4 * page));
	EXPECT_EQ(0, used(fd));
	close(fd);
}

/* Decommitted memory costs nothing; to commit it again one needs room. */
TEST_F(quota, limit_of_commits)
{
	const size_t page = self->t.page;
	struct bitmem_alloc alloc, more;
	struct bitmem_limit limit;
	struct bitmem_range range;
	int fd = self->t.fd;

	ASSERT_EQ(0, bt_limit(fd, 8 * page, &limit));
	ASSERT_EQ(0, bt_alloc(fd, 8 * page, &alloc));
	ASSERT_EQ(0, bt_range(fd, BITMEM_DECOMMIT, alloc.out_id, 0, 5 * page, &range));
	EXPECT_EQ(3 * page, used(fd));
	ASSERT_EQ(0, bt_alloc(fd, 4 * page, &more));
	EXPECT_EQ(-EDQUOT, bt_range(fd, BITMEM_COMMIT, alloc.out_id, 0, 5 * page, &range));
	EXPECT_EQ(7 * page, used(fd));
	ASSERT_EQ(0, bt_free(fd, more.out_id));
	EXPECT_EQ(0, bt_range(fd, BITMEM_COMMIT, alloc.out_id, 0, 5 * page, &range));
	EXPECT_EQ(8 * page, used(fd));
	close(fd);
}

/* All files of a user together. */
TEST_F(quota, of_a_user)
{
	int fd = self->t.fd, other = bt_open();
	struct bitmem_alloc alloc, first;

	ASSERT_LE(0, other);
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 16 * BT_MIB + 1, &alloc));
	EXPECT_EQ(0, used(fd));
	ASSERT_EQ(0, bt_alloc(fd, 10 * BT_MIB, &first));
	EXPECT_EQ(-EDQUOT, bt_alloc(other, 6 * BT_MIB + 1, &alloc));
	EXPECT_EQ(0, used(other));
	ASSERT_EQ(0, bt_alloc(other, 6 * BT_MIB, &alloc));
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 1, &alloc));
	ASSERT_EQ(0, bt_free(fd, first.out_id));
	EXPECT_EQ(0, bt_alloc(other, 10 * BT_MIB, &alloc));
	close(other);
	EXPECT_EQ(0, bt_alloc(fd, 16 * BT_MIB, &alloc));
	close(fd);
}

/* Becomes somebody else and takes what that user may have: 0, or what went wrong. */
static int as_nobody(gid_t group)
{
	struct bitmem_alloc alloc;
	int fd;

	if (setgroups(0, NULL) || setgid(group) || setuid(NOBODY))
		return 1;
	fd = bt_open();
	if (fd < 0)
		return 2;
	if (bt_alloc(fd, 16 * BT_MIB, &alloc))
		return 3;
	return bt_alloc(fd, 1, &alloc) == -EDQUOT ? 0 : 4;
}

TEST_F(quota, of_another_user)
{
	struct bitmem_alloc alloc;
	int fd = self->t.fd;
	pid_t child;

	ASSERT_EQ(0, bt_alloc(fd, 16 * BT_MIB, &alloc));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(as_nobody(getgid()));
	EXPECT_EQ(0, bt_reap(child));
	EXPECT_EQ(-EDQUOT, bt_alloc(fd, 1, &alloc));
	close(fd);
}

/* Whose file it is counts, not who uses it. */
TEST_F(quota, stays_with_the_file)
{
	struct bitmem_alloc alloc;
	int fd = self->t.fd;
	pid_t child;

	ASSERT_EQ(0, bt_alloc(fd, 12 * BT_MIB, &alloc));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (setgroups(0, NULL) || setuid(NOBODY))
			_exit(1);
		_exit(bt_alloc(fd, 5 * BT_MIB, &alloc) != -EDQUOT);
	}
	EXPECT_EQ(0, bt_reap(child));
	close(fd);
}

/* A refusal for want of memory charges nothing either. */
TEST_F(quota, refused_by_the_pool)
{
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	int fd = self->t.fd, err;

	close(fd);
	ASSERT_EQ(0, bl_rmmod_soon());
	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=8 user_quota_mb=1000"));
	fd = self->t.fd;
	err = bt_alloc(fd, 9 * BT_MIB, &alloc);
	EXPECT_EQ(-ENOMEM, err);
	EXPECT_EQ(0, used(fd));
	ASSERT_EQ(0, bt_pool(fd, 0, &pool));
	EXPECT_LT(0, pool.out_failures);
	close(fd);
}

struct taker {
	pthread_t thread;
	int fd;
	uint64_t most;
	int err;
};

/* Takes and gives back; the file's charge is never above its limit. */
static void *take(void *arg)
{
	struct taker *taker = arg;
	struct bitmem_alloc alloc;
	int i;

	for (i = 0; i < 2000; i++) {
		int err = bt_alloc(taker->fd, (1 + i % 5) * 4096, &alloc);

		if (!err)
			err = bt_free(taker->fd, alloc.out_id);
		if (err && err != -EDQUOT)
			taker->err = err;
		if (used(taker->fd) > taker->most)
			taker->most = used(taker->fd);
	}
	return NULL;
}

TEST_F(quota, concurrent)
{
	struct taker takers[6] = {};
	struct bitmem_limit limit;
	int fd = self->t.fd;
	size_t i;

	ASSERT_EQ(0, bt_limit(fd, 8 * 4096, &limit));
	for (i = 0; i < ARRAY_LEN(takers); i++) {
		takers[i].fd = fd;
		ASSERT_EQ(0, pthread_create(&takers[i].thread, NULL, take, &takers[i]));
	}
	for (i = 0; i < ARRAY_LEN(takers); i++) {
		ASSERT_EQ(0, pthread_join(takers[i].thread, NULL));
		EXPECT_EQ(0, takers[i].err);
		EXPECT_GE(8 * 4096, takers[i].most);
	}
	EXPECT_EQ(0, used(fd));
	close(fd);
}

/* Whoever is killed leaves the user with nothing charged. */
TEST_F(quota, killed)
{
	struct bitmem_alloc alloc;
	pid_t child;
	int i, tube[2];

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, pipe(tube));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			bt_alloc(bt_open(), 16 * BT_MIB, &alloc);
			bt_signal(tube);
			pause();
		}
		ASSERT_EQ(0, bt_await(tube));
		EXPECT_EQ(-EDQUOT, bt_alloc(self->t.fd, 1, &alloc));
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, 0, 1000));
		ASSERT_EQ(0, bt_alloc(self->t.fd, 16 * BT_MIB, &alloc));
		ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
		close(tube[0]);
		close(tube[1]);
	}
	close(self->t.fd);
}

BL_MAIN
