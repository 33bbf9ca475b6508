/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two processes, one copy of a file in pinned memory, no socket between them: one publishes it
 * under a name, any number of others attach it by that.
 *
 *	share publish NAME FILE		reads FILE into a buffer, keeps it until it is killed
 *	share attach NAME		another program of the same user: reads it, writes it to stdout
 *
 * A descriptor is the other way to share: see serve.c, which hands tensors over a socket.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/bitmem.h>

static int open_device(void)
{
	int device = open("/dev/bitmem", O_RDWR | O_CLOEXEC);

	if (device < 0)
		err(1, "/dev/bitmem");
	return device;
}

/* Names are at most 63 bytes, padded with NULs. */
static void set_name(__u8 to[BITMEM_NAME_LEN], const char *name)
{
	if (!*name || strlen(name) >= BITMEM_NAME_LEN)
		errx(2, "NAME: \"%s\" does not have 1 to %d bytes", name, BITMEM_NAME_LEN - 1);
	memcpy(to, name, strlen(name));
}

static size_t file_size(int file, const char *path)
{
	struct stat st;

	if (fstat(file, &st))
		err(1, "%s", path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		errx(1, "%s: not a file with something in it", path);
	return st.st_size;
}

/* One read may be short, of 2 GiB always. The memory takes O_DIRECT as well: nvme-rdma.c. */
static void read_all(int file, const char *path, char *to, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = read(file, to + done, length - done);

		if (n < 0)
			err(1, "%s", path);
		if (!n)
			errx(1, "%s: became shorter", path);
		done += n;
	}
}

/* A buffer is whole pages. How much of it is the file's stands on the first. */
struct header {
	__u64 length;
};

static void *map(int device, __u64 offset, size_t length, int protection)
{
	void *memory = mmap(NULL, length, protection, MAP_SHARED, device, offset);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

static int publish(const char *name, const char *path)
{
	struct bitmem_publish publish = { .size = sizeof(publish), .mode = 0400 };
	struct bitmem_alloc alloc = { .size = sizeof(alloc), .node = BITMEM_NODE_ANY,
				      .tag = "weights" };
	long page = sysconf(_SC_PAGESIZE);
	int device = open_device(), file;
	struct header *header;
	size_t length;

	set_name(publish.name, name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", path);
	length = file_size(file, path);
	alloc.length = page + length;
	if (ioctl(device, BITMEM_ALLOC, &alloc))
		err(1, "a buffer for %s", path);
	header = map(device, alloc.out_offset, alloc.out_length, PROT_READ | PROT_WRITE);
	header->length = length;
	read_all(file, path, (char *)header + page, length);
	close(file);

	/*
	 * Only when all is in it: nobody attaches half a model. The mode is a file's. With 0400
	 * even this user's other programs may only read; 0440 would let the group do so.
	 */
	publish.id = alloc.out_id;
	if (ioctl(device, BITMEM_PUBLISH, &publish))
		err(1, "publishing \"%s\"", name);
	printf("published\n");
	fflush(stdout);
	/* A name holds nothing by itself: this file does. Whoever has attached keeps the memory. */
	pause();
	return 0;
}

static int attach(const char *name)
{
	struct bitmem_attach attach = { .size = sizeof(attach), .flags = BITMEM_ATTACH_READONLY,
					.uid = BITMEM_UID_SELF };
	long page = sysconf(_SC_PAGESIZE);
	int device = open_device();
	const struct header *header;
	size_t done = 0, length;

	set_name(attach.name, name);
	/* The buffer gets an id here, too. It stays charged to who allocated it. */
	if (ioctl(device, BITMEM_ATTACH, &attach))
		err(1, "attaching \"%s\"", name);
	/* The same pages: nothing is read and nothing is copied, however large the model is. */
	header = map(device, attach.out_offset, attach.out_length, PROT_READ);
	/* Looked at once, and checked: what others can write to can change at any time. */
	length = *(volatile const __u64 *)&header->length;
	if (length > attach.out_length - page)
		errx(1, "\"%s\" is not what this program publishes", name);
	while (done < length) {
		ssize_t n = write(STDOUT_FILENO, (const char *)header + page + done, length - done);

		if (n < 0)
			err(1, "stdout");
		done += n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "publish"))
		return publish(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "attach"))
		return attach(argv[2]);
	fprintf(stderr, "usage: %s publish NAME FILE\n       %s attach NAME\n", argv[0], argv[0]);
	return 2;
}
