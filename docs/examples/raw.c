/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's interface without the library: a buffer's whole life in ioctls.
 *
 *	raw
 *
 * All that a program needs is <linux/bitmem.h>. The rules that hold for every ioctl (sizes,
 * flags, what each errno means) stand at the top of that header.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/bitmem.h>

#define LENGTH (3u << 20)	/* a superblock and a half, where these have 2 MiB */

static void show_pools(int device)
{
	struct bitmem_info info = { .size = sizeof(info) };
	struct bitmem_pool_info pool;

	/* size tells the module which members this program was compiled with. */
	if (ioctl(device, BITMEM_INFO, &info))
		err(1, "BITMEM_INFO");
	if (info.out_abi != BITMEM_ABI)
		errx(1, "the module speaks ABI %u, this program %u", info.out_abi, BITMEM_ABI);
	for (__u32 i = 0; i < info.out_pools; i++) {
		pool = (struct bitmem_pool_info){ .size = sizeof(pool), .index = i };
		if (ioctl(device, BITMEM_POOL_INFO, &pool))
			err(1, "BITMEM_POOL_INFO of pool %u", i);
		printf("pool %u: node %d, %" PRIu64 " MiB, of which %" PRIu64 " free\n", i,
		       pool.out_node, (uint64_t)pool.out_capacity >> 20,
		       (uint64_t)(pool.out_zeroed + pool.out_dirty) >> 20);
	}
}

/* Allocates, all or nothing, from whatever node is nearest; the memory is zeroed. */
static void allocate(int device, struct bitmem_alloc *alloc)
{
	*alloc = (struct bitmem_alloc){
		.size = sizeof(*alloc),
		.length = LENGTH,
		.node = BITMEM_NODE_ANY,
		.tag = "example",	/* who it is for: bitmem ps and /proc/PID/fdinfo show it */
	};
	if (ioctl(device, BITMEM_ALLOC, alloc))
		err(1, "BITMEM_ALLOC of %u bytes", LENGTH);
}

static void show_buffer(int device, __u32 id, const char *when)
{
	struct bitmem_query query = { .size = sizeof(query), .id = id };

	if (ioctl(device, BITMEM_QUERY, &query))
		err(1, "BITMEM_QUERY of buffer %u", id);
	printf("%s: %" PRIu64 " bytes, %" PRIu64 " of them with memory, %u mappings\n", when,
	       (uint64_t)query.out_length, (uint64_t)query.out_resident, query.out_mappings);
}

/* The owner of a buffer is the open file: a child that inherits it maps what its parent did. */
static void read_in_child(int device, const struct bitmem_alloc *alloc)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		const char *memory = mmap(NULL, alloc->out_length, PROT_READ, MAP_SHARED, device,
					  alloc->out_offset);

		if (memory == MAP_FAILED)
			err(1, "mmap in the child");
		printf("the child reads \"%s\"\n", memory);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		errx(1, "the child failed");
}

/* Memory can leave a range of a living buffer and come back to it, zeroed. */
static void decommit(int device, __u32 id, size_t length)
{
	struct bitmem_range range = { .size = sizeof(range), .id = id, .length = length };

	if (ioctl(device, BITMEM_DECOMMIT, &range))
		err(1, "BITMEM_DECOMMIT");
	if (range.out_skipped)
		warnx("%" PRIu64 " bytes stay: something has them pinned",
		      (uint64_t)range.out_skipped);
}

int main(int argc, char **argv)
{
	struct bitmem_alloc alloc;
	struct bitmem_free drop;
	char *memory;
	int device;

	if (argc != 1) {
		fprintf(stderr, "usage: %s\n", argv[0]);
		return 2;
	}
	/* What this file allocates lives until its last descriptor and mapping are gone. */
	device = open("/dev/bitmem", O_RDWR | O_CLOEXEC);
	if (device < 0)
		err(1, "/dev/bitmem");
	show_pools(device);
	allocate(device, &alloc);

	/* Shared mappings only. Where it lies in the file is told by out_offset. */
	memory = mmap(NULL, alloc.out_length, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		      alloc.out_offset);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	strcpy(memory + alloc.out_length / 2, "kept");
	strcpy(memory, "hello");
	show_buffer(device, alloc.out_id, "allocated");
	fflush(stdout);
	read_in_child(device, &alloc);

	/* From here on the first page is a SIGBUS until BITMEM_COMMIT; the rest is as it was. */
	decommit(device, alloc.out_id, sysconf(_SC_PAGESIZE));
	show_buffer(device, alloc.out_id, "decommitted");
	printf("the rest still reads \"%s\"\n", memory + alloc.out_length / 2);

	/* FREE takes the id away; the mapping is what keeps the memory until munmap(). */
	drop = (struct bitmem_free){ .size = sizeof(drop), .id = alloc.out_id };
	if (ioctl(device, BITMEM_FREE, &drop))
		err(1, "BITMEM_FREE");
	if (munmap(memory, alloc.out_length))
		err(1, "munmap");
	/* An exit, or a SIGKILL at any moment, would have given everything back as well. */
	close(device);
	return 0;
}
