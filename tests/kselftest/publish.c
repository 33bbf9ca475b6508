// SPDX-License-Identifier: GPL-2.0
/*
 * Names of buffers: finding another file's buffer by one, what is refused, what a
 * read-only id is good for, and how long a name lives. Who may attach is tried in
 * allow.c.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SEED	0x9a3e
#define SELF	BITMEM_UID_SELF

FIXTURE(publish) {
	struct bt t;
	int other;		/* a second file */
};

FIXTURE_SETUP(publish)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->other = bt_open();
	ASSERT_LE(0, self->other);
}

FIXTURE_TEARDOWN_PARENT(publish)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* A buffer of @length bytes with the pattern, named "name", left mapped; NULL if it failed. */
static char *named(int fd, size_t length, uint32_t mode, struct bitmem_alloc *alloc)
{
	char *memory = bt_new(fd, length, alloc);

	if (!memory || bt_publish(fd, alloc->out_id, "name", mode))
		return NULL;
	bt_fill(memory, length, SEED);
	return memory;
}

static uint32_t flags_of(int fd, uint32_t id)
{
	struct bitmem_query query;

	return bt_query(fd, id, 0, &query) ? UINT32_MAX : query.out_flags;
}

TEST_F(publish, attach)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	struct bitmem_pool_info before, after;
	struct bitmem_attach attach;
	struct bitmem_alloc alloc;
	char *mine, *theirs;

	mine = named(self->t.fd, length, 0600, &alloc);
	ASSERT_NE(NULL, mine);
	EXPECT_EQ(BITMEM_BUFFER_NAMED, flags_of(self->t.fd, alloc.out_id));
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &attach));
	EXPECT_NE(0, attach.out_id);
	EXPECT_EQ(alloc.out_length, attach.out_length);
	EXPECT_EQ(alloc.out_offset, attach.out_offset);
	EXPECT_EQ(BITMEM_BUFFER_NAMED | BITMEM_BUFFER_SHARED,
		  flags_of(self->other, attach.out_id));
	theirs = bt_map(self->other, length, attach.out_offset);
	ASSERT_NE(NULL, theirs);
	EXPECT_EQ(-1, bt_wrong(theirs, length, SEED));
	bt_fill(theirs, length, SEED + 1);
	EXPECT_EQ(-1, bt_wrong(mine, length, SEED + 1));
	/* It is one buffer, and costs no more than one. */
	ASSERT_EQ(0, bt_total(self->t.fd, &after));
	EXPECT_EQ(before.out_allocated, after.out_allocated);
	EXPECT_EQ(before.out_buffers, after.out_buffers);
}

/* The same file may attach its own buffer: it then has two ids for it. */
TEST_F(publish, own_file)
{
	struct bitmem_attach attach;
	struct bitmem_alloc alloc;

	ASSERT_NE(NULL, named(self->t.fd, self->t.page, 0600, &alloc));
	ASSERT_EQ(0, bt_attach(self->t.fd, SELF, "name", 0, &attach));
	EXPECT_NE(alloc.out_id, attach.out_id);
	EXPECT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(BITMEM_BUFFER_NAMED, flags_of(self->t.fd, attach.out_id));
	EXPECT_EQ(0, bt_unpublish(self->t.fd, attach.out_id));
	EXPECT_EQ(0, flags_of(self->t.fd, attach.out_id));
}

TEST_F(publish, remove)
{
	struct bitmem_attach attach;
	struct bitmem_alloc alloc;

	ASSERT_NE(NULL, named(self->t.fd, self->t.page, 0600, &alloc));
	ASSERT_EQ(0, bt_unpublish(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, flags_of(self->t.fd, alloc.out_id));
	EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "name", 0, &attach));
	EXPECT_EQ(-ENOENT, bt_unpublish(self->t.fd, alloc.out_id));
	/* Both the name and the buffer are free for others. */
	EXPECT_EQ(0, bt_publish(self->t.fd, alloc.out_id, "another", 0600));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	EXPECT_EQ(0, bt_publish(self->t.fd, alloc.out_id, "name", 0600));
}

static void expect_publish(struct __test_metadata *_metadata, int fd, int expected,
			   struct bitmem_publish arg)
{
	arg.size = sizeof(arg);
	EXPECT_EQ(expected, bt_ioctl(fd, BITMEM_PUBLISH, &arg))
		TH_LOG("flags %#x, mode %#o, name \"%.64s\"", arg.flags, arg.mode,
		       (const char *)arg.name);
}

TEST_F(publish, refused)
{
	struct bitmem_publish arg = { .name = "name", .mode = 0600 };
	struct bitmem_alloc alloc, second;
	struct bitmem_attach attach;
	uint32_t mode;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &second));
	expect_publish(_metadata, self->t.fd, -ENOENT, arg);
	arg.id = UINT32_MAX;
	expect_publish(_metadata, self->t.fd, -ENOENT, arg);
	arg.id = alloc.out_id;
	for (mode = 1; mode; mode <<= 1) {
		if (mode & 0666)
			continue;
		arg.mode = 0600 | mode;
		expect_publish(_metadata, self->t.fd, -EINVAL, arg);
	}
	arg.mode = 0600;
	memset(arg.name, 0, sizeof(arg.name));
	expect_publish(_metadata, self->t.fd, -EINVAL, arg);
	memset(arg.name, 'n', sizeof(arg.name));
	expect_publish(_metadata, self->t.fd, -EINVAL, arg);
	memcpy(arg.name, "name\0name", 10);
	memset(arg.name + 10, 0, sizeof(arg.name) - 10);
	expect_publish(_metadata, self->t.fd, -EINVAL, arg);
	memset(arg.name + 4, 0, 5);

	arg.flags = BITMEM_PUBLISH_REMOVE;
	expect_publish(_metadata, self->t.fd, -EINVAL, arg);
	memset(arg.name, 0, sizeof(arg.name));
	expect_publish(_metadata, self->t.fd, -EINVAL, arg);
	arg.mode = 0;
	expect_publish(_metadata, self->t.fd, -ENOENT, arg);

	/* The longest name there can be; then one more for the buffer; then the name again. */
	memset(arg.name, 'n', sizeof(arg.name) - 1);
	arg.flags = 0;
	expect_publish(_metadata, self->t.fd, 0, arg);
	EXPECT_EQ(-EEXIST, bt_publish(self->t.fd, alloc.out_id, "second", 0600));
	arg.id = second.out_id;
	expect_publish(_metadata, self->t.fd, -EEXIST, arg);
	EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "second", 0, &attach));
	EXPECT_EQ(0, bt_attach(self->other, SELF, (char *)arg.name, 0, &attach));
}

/* Only the file that a buffer is from may name it. */
TEST_F(publish, of_another_file)
{
	struct bitmem_attach attach;
	struct bitmem_alloc alloc;

	ASSERT_NE(NULL, named(self->t.fd, self->t.page, 0600, &alloc));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &attach));
	EXPECT_EQ(-EACCES, bt_unpublish(self->other, attach.out_id));
	ASSERT_EQ(0, bt_unpublish(self->t.fd, alloc.out_id));
	EXPECT_EQ(-EACCES, bt_publish(self->other, attach.out_id, "mine", 0600));
	EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "mine", 0, &attach));
}

TEST_F(publish, attach_refused)
{
	struct bitmem_attach attach, twin;
	struct bitmem_alloc alloc;

	ASSERT_NE(NULL, named(self->t.fd, self->t.page, 0600, &alloc));
	EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "nam", 0, &attach));
	EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "name ", 0, &attach));
	EXPECT_EQ(-ENOENT, bt_attach(self->other, getuid() + 1, "name", 0, &attach));
	EXPECT_EQ(-EINVAL, bt_attach(self->other, SELF, "", 0, &attach));
	memset(&attach, 'n', sizeof(attach));
	EXPECT_EQ(-EINVAL, bt_attach(self->other, SELF, (char *)&attach, 0, &twin));
	ASSERT_EQ(0, bt_attach(self->other, getuid(), "name", 0, &attach));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &twin));
	EXPECT_NE(attach.out_id, twin.out_id);
}

/* A page that cannot be written to: the id must not stay behind. */
TEST_F(publish, attach_unanswered)
{
	struct bitmem_attach *attach = mmap(NULL, self->t.page, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bitmem_alloc alloc;
	struct bitmem_query query;

	ASSERT_NE(MAP_FAILED, attach);
	ASSERT_NE(NULL, named(self->t.fd, self->t.page, 0600, &alloc));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, attach));
	ASSERT_EQ(0, bt_free(self->other, attach->out_id));
	ASSERT_EQ(0, mprotect(attach, self->t.page, PROT_READ));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->other, BITMEM_ATTACH, attach));
	EXPECT_EQ(-ENOENT, bt_query(self->other, 0, BITMEM_QUERY_NEXT, &query));
}

static void expect_readonly(struct __test_metadata *_metadata, int fd,
			    const struct bitmem_attach *attach)
{
	const size_t length = attach->out_length;
	struct bitmem_export export = { .size = sizeof(export), .id = attach->out_id };
	int mem = open("/proc/self/mem", O_RDWR);
	char *memory;

	EXPECT_EQ(BITMEM_BUFFER_NAMED | BITMEM_BUFFER_SHARED | BITMEM_BUFFER_READONLY,
		  flags_of(fd, attach->out_id));
	EXPECT_EQ(NULL, bt_map(fd, length, attach->out_offset));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, length, PROT_WRITE, MAP_SHARED, fd, attach->out_offset));
	EXPECT_EQ(EACCES, errno);
	memory = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, attach->out_offset);
	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	EXPECT_EQ(-1, mprotect(memory, length, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	/* Not even with a debugger's means. */
	ASSERT_LE(0, mem);
	EXPECT_EQ(-1, pwrite(mem, "x", 1, (uintptr_t)memory));
	EXPECT_EQ(-EACCES, bt_ioctl(fd, BITMEM_EXPORT, &export));
	EXPECT_EQ(0, munmap(memory, length));
	close(mem);
}

TEST_F(publish, readonly)
{
	const size_t length = self->t.superblock + self->t.page;
	struct bitmem_attach attach;
	struct bitmem_alloc alloc;
	char *memory;

	memory = named(self->t.fd, length, 0600, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", BITMEM_ATTACH_READONLY, &attach));
	expect_readonly(_metadata, self->other, &attach);
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	/* With a second id that may write, the file may. */
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &attach));
	EXPECT_NE(NULL, bt_map(self->other, length, attach.out_offset));
}

/* The name is there for as long as anybody has the buffer, be it a mapping only. */
TEST_F(publish, last_holder)
{
	const size_t length = self->t.superblock;
	int publisher = bt_open(), third = bt_open();
	struct bitmem_attach attach, again;
	struct bitmem_alloc alloc;
	char *memory;

	memory = named(publisher, length, 0600, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &attach));
	ASSERT_EQ(0, close(publisher));
	ASSERT_EQ(0, bt_attach(third, SELF, "name", 0, &again));
	memory = bt_map(third, length, again.out_offset);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(0, bt_free(self->other, attach.out_id));
	EXPECT_EQ(0, bt_free(third, again.out_id));
	ASSERT_EQ(0, close(third));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &again));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	EXPECT_EQ(0, bt_free(self->other, again.out_id));
	EXPECT_EQ(0, munmap(memory, length));
	EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "name", 0, &again));
	/* And may be used anew, with nothing of the old buffer. */
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	EXPECT_EQ(0, bt_publish(self->t.fd, alloc.out_id, "name", 0600));
	ASSERT_EQ(0, bt_attach(self->other, SELF, "name", 0, &again));
	memory = bt_map(self->other, self->t.page, again.out_offset);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, self->t.page));
}

TEST_F(publish, killed)
{
	struct bitmem_attach attach;
	int i, ready[2];

	ASSERT_EQ(0, pipe(ready));
	for (i = 0; i < 20; i++) {
		pid_t child = fork();
		int err;

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc alloc;

			if (!named(bt_open(), self->t.superblock, 0600, &alloc))
				_exit(1);
			bt_signal(ready);
			pause();
		}
		ASSERT_EQ(0, bt_await(ready));
		err = i % 2 ? bt_attach(self->other, SELF, "name", 0, &attach) : 0;
		EXPECT_EQ(0, err);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		if (i % 2)
			EXPECT_EQ(0, bt_free(self->other, attach.out_id));
		EXPECT_EQ(-ENOENT, bt_attach(self->other, SELF, "name", 0, &attach));
	}
}

#define MANY	3000

TEST_F(publish, many)
{
	struct bitmem_attach attach;
	struct bitmem_alloc alloc;
	uint64_t offset[MANY];
	char name[32];
	int i;

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%d", i * 7919 % MANY);
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
		ASSERT_EQ(0, bt_publish(self->t.fd, alloc.out_id, name, 0600));
		offset[i * 7919 % MANY] = alloc.out_offset;
	}
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%d", i);
		ASSERT_EQ(0, bt_attach(self->other, SELF, name, 0, &attach));
		EXPECT_EQ(offset[i], attach.out_offset);
	}
}

struct racer {
	pthread_t thread;
	uint64_t until;
	unsigned long done;
	unsigned long wrong;
};

/* Makes a buffer of "name" and takes it away again, in one way or the other. */
static void *publish_for_ever(void *arg)
{
	struct racer *racer = arg;
	struct bitmem_alloc alloc;
	int fd = bt_open();

	while (bt_now_ns() < racer->until) {
		uint64_t *memory = bt_new(fd, 4096, &alloc);
		int err;

		if (!memory) {
			racer->wrong++;
			break;
		}
		*memory = SEED;
		munmap(memory, alloc.out_length);
		err = bt_publish(fd, alloc.out_id, "name", 0600);
		racer->done += !err;
		racer->wrong += err && err != -EEXIST;
		if (!err && racer->done & 1)
			bt_sleep_ms(1);
		/* Without this it lasts for as long as there is somebody who has attached it. */
		if (!err && racer->done % 4)
			racer->wrong += bt_unpublish(fd, alloc.out_id) != 0;
		racer->wrong += bt_free(fd, alloc.out_id) != 0;
	}
	close(fd);
	return NULL;
}

/* Whatever is found under the name is a buffer that its publisher had filled. */
static void *attach_for_ever(void *arg)
{
	struct racer *racer = arg;
	struct bitmem_attach attach;
	int fd = bt_open();

	while (bt_now_ns() < racer->until) {
		int err = bt_attach(fd, SELF, "name", 0, &attach);
		uint64_t *memory;

		if (err) {
			racer->wrong += err != -ENOENT;
			continue;
		}
		memory = bt_map(fd, attach.out_length, attach.out_offset);
		racer->wrong += !memory || *memory != SEED;
		racer->wrong += bt_free(fd, attach.out_id) != 0;
		if (memory)
			munmap(memory, attach.out_length);
		racer->done++;
	}
	close(fd);
	return NULL;
}

TEST_F(publish, race)
{
	struct racer racers[5] = {};
	unsigned long published = 0, attached = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(racers); i++) {
		racers[i].until = bt_now_ns() + 4000000000ull;
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL,
					    i < 2 ? publish_for_ever : attach_for_ever,
					    &racers[i]));
	}
	for (i = 0; i < ARRAY_LEN(racers); i++) {
		ASSERT_EQ(0, pthread_join(racers[i].thread, NULL));
		EXPECT_EQ(0, racers[i].wrong);
		if (i < 2)
			published += racers[i].done;
		else
			attached += racers[i].done;
	}
	TH_LOG("published %lu times, attached %lu times", published, attached);
	EXPECT_NE(0, published);
	EXPECT_NE(0, attached);
}

BT_MAIN
