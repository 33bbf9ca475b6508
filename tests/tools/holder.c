// SPDX-License-Identifier: GPL-2.0
/*
 * Holds memory of the device in ways that "bitmem ps" has to tell apart.
 *
 *   holder share	two processes, one open file
 *   holder map		a mapping, its descriptor closed
 *   holder flight	a file that is on its way through a socket, and nowhere else
 *   holder many	more buffers than the kernel lists
 *   holder tag		a buffer with a tag that no terminal should see as it is
 *   holder share-out	a buffer that is exported, and one that has a name
 *   holder orphan	a file whose opener is gone; the PID that is told is its child's
 *   holder index TEXT	a text that passes for the index of a model
 *   holder lent		a buffer of its own, and another file's that it has imported
 *   holder scattered	single pages with gaps between them
 *   holder fixed	a buffer that has to stay where it is
 *   holder churn	none: opens and closes the device with a buffer, 4000 times, and ends
 *
 * Prints "ready BYTES PID..." when it holds them, and stays until it is killed. It
 * uses the ioctls alone, not libbitmem.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/bitmem.h>

#define LENGTH	(3u << 20)
#define BUFFERS 70
#define CHURNS	4000
#define SCATTERED 2048

/* After the way, or empty. */
static const char *argument;

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int open_device(void)
{
	const char *path = getenv("BITMEM_DEVICE");
	int fd = open(path ? path : "/dev/bitmem", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("open");
	return fd;
}

static struct bitmem_alloc alloc_buffer(int fd, size_t length, const char *tag)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc),
		.length = length,
		.node = BITMEM_NODE_ANY,
	};

	memcpy(alloc.tag, tag, strnlen(tag, sizeof(alloc.tag) - 1));
	if (ioctl(fd, BITMEM_ALLOC, &alloc))
		die("ALLOC");
	return alloc;
}

/* Returns the offset to map. */
static off_t alloc(int fd, size_t length, const char *tag)
{
	return (off_t)alloc_buffer(fd, length, tag).out_offset;
}

static void stay(size_t bytes, pid_t other)
{
	printf("ready %zu %d", bytes, getpid());
	if (other)
		printf(" %d", other);
	putchar('\n');
	fflush(stdout);
	for (;;)
		pause();
}

static void hold_shared(void)
{
	int fd = open_device();
	pid_t child;

	alloc(fd, LENGTH, "shared");
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	stay(LENGTH, child);
}

static void hold_mapped(void)
{
	int fd = open_device();
	char *p = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       alloc(fd, LENGTH, "mapped"));

	if (p == MAP_FAILED)
		die("mmap");
	*p = 1;
	close(fd);
	stay(LENGTH, 0);
}

static void send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(fd))];
	} control = {
		.header =
			{
				.cmsg_len = CMSG_LEN(sizeof(fd)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
			},
	};
	struct iovec data = {.iov_base = "x", .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(socket, &message, 0) != 1)
		die("sendmsg");
}

static void hold_orphaned(void)
{
	int fd = open_device();
	pid_t parent = getpid();
	pid_t child;

	alloc(fd, LENGTH, "orphan");
	child = fork();
	if (child < 0)
		die("fork");
	if (child)
		_exit(EXIT_SUCCESS);
	while (getppid() == parent)
		usleep(1000);
	stay(LENGTH, 0);
}

static void hold_in_flight(void)
{
	int fd = open_device();
	int ends[2];

	alloc(fd, LENGTH, "flight");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		die("socketpair");
	send_fd(ends[0], fd);
	close(fd);
	stay(LENGTH, 0);
}

static void hold_many(void)
{
	int fd = open_device();
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < BUFFERS; i++)
		alloc(fd, page, i % 2 ? "odd" : "even");
	stay(BUFFERS * page, 0);
}

static void hold_tagged(void)
{
	alloc(open_device(), LENGTH, "bell\a\n\033[2Jtab\tend\xFF");
	stay(LENGTH, 0);
}

static void hold_shared_out(void)
{
	struct bitmem_export export = {.size = sizeof(export)};
	struct bitmem_publish publish = {.size = sizeof(publish), .mode = 0600, .name = "a name"};
	int fd = open_device();

	export.id = alloc_buffer(fd, LENGTH, "exported").out_id;
	publish.id = alloc_buffer(fd, LENGTH, "published").out_id;
	if (ioctl(fd, BITMEM_EXPORT, &export))
		die("EXPORT");
	if (ioctl(fd, BITMEM_PUBLISH, &publish))
		die("PUBLISH");
	stay(2 * LENGTH, 0);
}

/* A buffer that passes for the index of a model that is held. */
static void hold_index(void)
{
	struct bitmem_publish publish = {.size = sizeof(publish), .mode = 0600, .name = "index"};
	int fd = open_device();
	struct bitmem_alloc buffer = alloc_buffer(fd, LENGTH, "bitmem hold index");
	char *map = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)buffer.out_offset);

	if (map == MAP_FAILED)
		die("mmap");
	strcpy(map, argument);
	publish.id = buffer.out_id;
	if (ioctl(fd, BITMEM_PUBLISH, &publish))
		die("PUBLISH");
	stay(LENGTH, 0);
}

/* Of the other's buffer the kernel's list tells as the other file's. */
static void hold_lent(void)
{
	struct bitmem_export export = {.size = sizeof(export)};
	struct bitmem_import import = {.size = sizeof(import)};
	int lender = open_device();
	int fd = open_device();

	alloc(fd, LENGTH, "own");
	export.id = alloc_buffer(lender, LENGTH, "lent").out_id;
	if (ioctl(lender, BITMEM_EXPORT, &export))
		die("EXPORT");
	import.fd = export.out_fd;
	if (ioctl(fd, BITMEM_IMPORT, &import))
		die("IMPORT");
	stay(2 * LENGTH, 0);
}

static void free_buffer(int fd, uint32_t id)
{
	struct bitmem_free arg = {.size = sizeof(arg), .id = id};

	if (ioctl(fd, BITMEM_FREE, &arg))
		die("FREE");
}

/* Single pages with gaps between them, in a few superblocks. */
static void hold_scattered(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t ids[SCATTERED];
	int fd = open_device();

	for (int i = 0; i < SCATTERED; i++)
		ids[i] = alloc_buffer(fd, page, "scattered").out_id;
	for (int i = 0; i < SCATTERED; i++) {
		if (i % 4)
			free_buffer(fd, ids[i]);
	}
	stay(SCATTERED / 4 * page, 0);
}

/* One whose physical addresses were told stays where it is. */
static void hold_fixed(void)
{
	struct bitmem_segment segment;
	struct bitmem_segments arg = {.size = sizeof(arg), .count = 1};
	int fd = open_device();

	arg.id = alloc_buffer(fd, LENGTH, "fixed").out_id;
	arg.entries = (uintptr_t)&segment;
	if (ioctl(fd, BITMEM_SEGMENTS, &arg))
		die("SEGMENTS");
	stay(LENGTH, 0);
}

static void churn(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < CHURNS; i++) {
		int fd = open_device();

		alloc(fd, page, "churn");
		close(fd);
	}
	exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*hold)(void);
	} ways[] = {
		{"share", hold_shared},	    {"map", hold_mapped},
		{"flight", hold_in_flight}, {"many", hold_many},
		{"tag", hold_tagged},	    {"share-out", hold_shared_out},
		{"churn", churn},	    {"scattered", hold_scattered},
		{"fixed", hold_fixed},	    {"lent", hold_lent},
		{"index", hold_index},	    {"orphan", hold_orphaned},
	};

	argument = argc == 3 ? argv[2] : "";
	for (size_t i = 0; argc >= 2 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!strcmp(argv[1], ways[i].name))
			ways[i].hold();
	}
	fputs("usage: holder share|map|flight|many|tag|share-out|lent|orphan|index TEXT|scattered|"
	      "fixed|churn\n", stderr);
	return 2;
}
