// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/fdinfo/FD: the keys bitmem-*, by which anybody who may look at a
 * process sees what it holds.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

BT_FIXTURE(fdinfo);

/*
 * Finds the @nth line with @key in the fdinfo of @fd in process @pid, and copies
 * what follows it to @value. Returns whether there is one.
 */
static bool find(pid_t pid, int fd, const char *key, int nth, char *value, size_t room)
{
	const size_t length = strlen(key);
	char path[64], line[512];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, length) || line[length] != ':' || nth--)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(value, room, "%s", line + length + 1 + strspn(line + length + 1, "\t "));
		found = true;
	}
	fclose(file);
	return found;
}

/* The figure behind @key; UINT64_MAX if there is none. */
static uint64_t figure(int fd, const char *key)
{
	char value[64], *end;
	uint64_t number;

	if (!find(getpid(), fd, key, 0, value, sizeof(value)))
		return UINT64_MAX;
	number = strtoull(value, &end, 10);
	return *end || end == value ? UINT64_MAX : number;
}

TEST_F(fdinfo, figures)
{
	const size_t page = self->t.page;
	struct bitmem_alloc one, two;

	EXPECT_EQ(0, figure(self->t.fd, "bitmem-buffers"));
	EXPECT_EQ(0, figure(self->t.fd, "bitmem-bytes"));
	EXPECT_EQ(0, figure(self->t.fd, "bitmem-peak-bytes"));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 3 * page - 1, &one));
	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.superblock, &two));
	EXPECT_EQ(2, figure(self->t.fd, "bitmem-buffers"));
	EXPECT_EQ(3 * page + self->t.superblock, figure(self->t.fd, "bitmem-bytes"));
	ASSERT_EQ(0, bt_free(self->t.fd, two.out_id));
	EXPECT_EQ(1, figure(self->t.fd, "bitmem-buffers"));
	EXPECT_EQ(3 * page, figure(self->t.fd, "bitmem-bytes"));
	EXPECT_EQ(3 * page + self->t.superblock, figure(self->t.fd, "bitmem-peak-bytes"));
}

/* A buffer whose id is gone counts as long as its memory is held. */
TEST_F(fdinfo, freed_but_mapped)
{
	struct bitmem_alloc alloc;
	char value[128], *memory;

	memory = bt_new(self->t.fd, self->t.page, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(1, figure(self->t.fd, "bitmem-buffers"));
	EXPECT_EQ(self->t.page, figure(self->t.fd, "bitmem-bytes"));
	EXPECT_FALSE(find(getpid(), self->t.fd, "bitmem-buffer", 0, value, sizeof(value)));
	ASSERT_EQ(0, munmap(memory, self->t.page));
	EXPECT_EQ(0, figure(self->t.fd, "bitmem-buffers"));
	EXPECT_EQ(0, figure(self->t.fd, "bitmem-bytes"));
}

TEST_F(fdinfo, owner_and_serial)
{
	int other = bt_open();

	ASSERT_LE(0, other);
	EXPECT_EQ(getpid(), figure(self->t.fd, "bitmem-owner"));
	EXPECT_NE(UINT64_MAX, figure(self->t.fd, "bitmem-file"));
	EXPECT_NE(figure(other, "bitmem-file"), figure(self->t.fd, "bitmem-file"));
	EXPECT_GE(60000, figure(self->t.fd, "bitmem-age-ms"));
	close(other);
}

/* One line a buffer: id, bytes, age in ms, mappings, tag. */
TEST_F(fdinfo, buffers)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc), .length = 2 * self->t.page, .node = BITMEM_NODE_ANY,
		.tag = "token_embd.weight",
	};
	char value[256], tag[64] = "";
	unsigned long long bytes, age;
	unsigned int id, mappings;
	struct bitmem_alloc first;
	char *memory;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &first));
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_ALLOC, &alloc));
	memory = bt_map(self->t.fd, alloc.out_length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	ASSERT_TRUE(find(getpid(), self->t.fd, "bitmem-buffer", 1, value, sizeof(value)));
	ASSERT_EQ(5, sscanf(value, "%u %llu %llu %u %63s", &id, &bytes, &age, &mappings, tag));
	EXPECT_EQ(alloc.out_id, id);
	EXPECT_EQ(alloc.out_length, bytes);
	EXPECT_GE(60000, age);
	EXPECT_EQ(1, mappings);
	EXPECT_STREQ("token_embd.weight", tag);
	EXPECT_FALSE(find(getpid(), self->t.fd, "bitmem-buffer", 2, value, sizeof(value)));
}

/* A tag is data: it cannot forge lines. */
TEST_F(fdinfo, hostile_tag)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc), .length = 1, .node = BITMEM_NODE_ANY,
		.tag = "x\nbitmem-bytes:\t0\n\033[2J",
	};
	char value[256];

	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_ALLOC, &alloc));
	EXPECT_EQ(self->t.page, figure(self->t.fd, "bitmem-bytes"));
	EXPECT_FALSE(find(getpid(), self->t.fd, "bitmem-bytes", 1, value, sizeof(value)));
	ASSERT_TRUE(find(getpid(), self->t.fd, "bitmem-buffer", 0, value, sizeof(value)));
	EXPECT_EQ(NULL, strchr(value, '\033'));
}

/* More buffers than lines: the figures still tell all. */
TEST_F(fdinfo, many_buffers)
{
	enum { COUNT = 500 };
	struct bitmem_alloc alloc;
	char value[256];
	int i, lines = 0;

	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	while (find(getpid(), self->t.fd, "bitmem-buffer", lines, value, sizeof(value)))
		lines++;
	EXPECT_LE(1, lines);
	EXPECT_GE(COUNT, lines);
	EXPECT_EQ(COUNT, figure(self->t.fd, "bitmem-buffers"));
	EXPECT_EQ(COUNT * self->t.page, figure(self->t.fd, "bitmem-bytes"));
}

BT_MAIN
