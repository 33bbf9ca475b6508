// SPDX-License-Identifier: GPL-2.0
/*
 * Many buffers of the device at once, with io_uring and without: all or none, and the
 * first that cannot be had is named. The library's own functions are called.
 */
#include "../../libbitmem/batch.h"
#include "../kselftest/bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 300

FIXTURE(batch) {
	int fd;
	struct bm_ring ring;
	struct bm_ring *used;
	struct bm_batch_item *items;
};

FIXTURE_VARIANT(batch) {
	bool rings;
};

FIXTURE_VARIANT_ADD(batch, ring) {
	.rings = true,
};

FIXTURE_VARIANT_ADD(batch, calls) {
	.rings = false,
};

FIXTURE_SETUP(batch)
{
	const char *backend = getenv("BITMEM_BACKEND");
	const char *path = getenv("BITMEM_DEVICE");

	if (backend && strcmp(backend, "device"))
		SKIP(return, "not for the backend %s", backend);
	self->fd = open(path && *path ? path : "/dev/bitmem", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "no device: %s", strerror(errno));
	bm_ring_init(&self->ring);
	self->used = variant->rings ? &self->ring : NULL;
	self->items = calloc(MOST, sizeof(*self->items));
	ASSERT_NE(NULL, self->items);
}

FIXTURE_TEARDOWN(batch)
{
	free(self->items);
	bm_ring_destroy(&self->ring);
	close(self->fd);
}

static void fill_in(struct bm_batch_item *items, size_t n)
{
	memset(items, 0, n * sizeof(*items));
	for (size_t i = 0; i < n; i++) {
		items[i].arg.size = sizeof(items[i].arg);
		items[i].arg.node = BITMEM_NODE_ANY;
		items[i].arg.length = 1 + i % 3 * 4096;
	}
}

static size_t buffers(int fd)
{
	struct bitmem_query query = { .size = sizeof(query), .flags = BITMEM_QUERY_NEXT };
	size_t n;

	for (n = 0; !ioctl(fd, BITMEM_QUERY, &query); n++)
		query.id = query.out_id;
	return n;
}

static void free_all(int fd, const struct bm_batch_item *items, size_t n)
{
	uint32_t ids[MOST];

	for (size_t i = 0; i < n; i++)
		ids[i] = items[i].arg.out_id;
	bm_batch_free(fd, ids, n);
}

TEST_F(batch, all)
{
	const size_t counts[] = { 1, 2, 63, 64, 65, 128, MOST };
	size_t failed = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		fill_in(self->items, counts[i]);
		ASSERT_EQ(0, bm_batch_alloc(self->fd, self->used, self->items, counts[i],
					    &failed));
		EXPECT_EQ(counts[i], buffers(self->fd));
		for (size_t j = 0; j < counts[i]; j++) {
			struct bitmem_query query = {
				.size = sizeof(query), .id = self->items[j].arg.out_id,
			};

			ASSERT_EQ(0, ioctl(self->fd, BITMEM_QUERY, &query));
			EXPECT_EQ(query.out_offset, self->items[j].arg.out_offset);
			EXPECT_EQ(query.out_length, self->items[j].arg.out_length);
			EXPECT_LE(self->items[j].arg.length, query.out_length);
		}
		free_all(self->fd, self->items, counts[i]);
		EXPECT_EQ(0, buffers(self->fd));
	}
}

TEST_F(batch, none)
{
	const size_t places[] = { 0, 1, 63, 64, 65, MOST - 1 };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		size_t failed = MOST;

		fill_in(self->items, MOST);
		self->items[places[i]].arg.length = 1ull << 60;
		EXPECT_EQ(-ENOMEM, bm_batch_alloc(self->fd, self->used, self->items, MOST,
						  &failed));
		EXPECT_EQ(places[i], failed);
		EXPECT_EQ(0, buffers(self->fd));
	}
}

/* No descriptor for a ring is left: it goes without one. */
TEST_F(batch, no_ring)
{
	struct rlimit limit = { (rlim_t)self->fd + 1, (rlim_t)self->fd + 1 };
	size_t failed = 0;
	int fd = self->fd;

	while (dup(0) >= 0 && fd++ < 100)
		continue;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(-1, dup(0));
	fill_in(self->items, MOST);
	EXPECT_EQ(0, bm_batch_alloc(self->fd, self->used, self->items, MOST, &failed));
	EXPECT_EQ(MOST, buffers(self->fd));
}

/* A child finds its parent's ring, in the middle of a batch even, and does not touch it. */
TEST_F(batch, forked)
{
	size_t failed = 0;
	pid_t child;
	int status;

	fill_in(self->items, MOST);
	ASSERT_EQ(0, bm_batch_alloc(self->fd, self->used, self->items, 1, &failed));
	pthread_mutex_lock(&self->ring.lock);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		fill_in(self->items, MOST);
		_exit(!!bm_batch_alloc(self->fd, self->used, self->items, MOST, &failed));
	}
	pthread_mutex_unlock(&self->ring.lock);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(MOST + 1, buffers(self->fd));
}

TEST_F(batch, free_passes_over)
{
	size_t failed = 0;

	fill_in(self->items, MOST);
	ASSERT_EQ(0, bm_batch_alloc(self->fd, self->used, self->items, MOST, &failed));
	self->items[0].arg.out_id = 0;
	self->items[1].arg.out_id = UINT32_MAX;
	self->items[100].arg.out_id = self->items[99].arg.out_id;
	self->items[MOST - 1].arg.out_id = 0;
	free_all(self->fd, self->items, MOST);
	EXPECT_EQ(4, buffers(self->fd));
}

TEST_HARNESS_MAIN
