// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of each kind, had and given back in the way that programs do.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bench.h"

/* Beyond this malloc() has memory from the system each time, and gives it back. */
#define MMAP_THRESHOLD (128 << 10)

struct bench_block {
	enum bench_memory memory;
	char *data;
	/* Of what is the device's. */
	uint32_t id;
};

char *bench_data(const struct bench_block *block)
{
	return block->data;
}

static void free_id(const struct bench *bench, uint32_t id)
{
	struct bitmem_free arg = {.size = sizeof(arg), .id = id};

	ioctl(bench->device->fd, BITMEM_FREE, &arg);
}

static int get_device(const struct bench *bench, struct bench_block *block)
{
	struct bitmem_alloc arg = {
		.size = sizeof(arg),
		.length = bench->size,
		.node = BITMEM_NODE_ANY,
		.tag = "bitmem bench",
	};
	int err;

	if (ioctl(bench->device->fd, BITMEM_ALLOC, &arg))
		return -1;
	block->id = arg.out_id;
	block->data = mmap(NULL, bench->size, PROT_READ | PROT_WRITE, MAP_SHARED, bench->device->fd,
			   (off_t)arg.out_offset);
	if (block->data != MAP_FAILED)
		return 0;
	err = errno;
	free_id(bench, arg.out_id);
	errno = err;
	return -1;
}

static int get_malloc(const struct bench *bench, struct bench_block *block)
{
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	/* As O_DIRECT wants it. */
	block->data = aligned_alloc(bench->device->info.out_page_size, bench->size);
	if (!block->data)
		return -1;
	if (block->memory != BENCH_MLOCK || !mlock(block->data, bench->size))
		return 0;
	free(block->data);
	return -1;
}

static int get_hugetlb(const struct bench *bench, struct bench_block *block)
{
	block->data = mmap(NULL, bench->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	return block->data == MAP_FAILED ? -1 : 0;
}

struct bench_block *bench_get(const struct bench *bench, enum bench_memory memory)
{
	struct bench_block *block = calloc(1, sizeof(*block));
	int err;

	if (!block)
		return NULL;
	block->memory = memory;
	if (memory == BENCH_DEVICE)
		err = get_device(bench, block);
	else if (memory == BENCH_HUGETLB)
		err = get_hugetlb(bench, block);
	else
		err = get_malloc(bench, block);
	if (!err)
		return block;
	err = errno;
	free(block);
	errno = err;
	return NULL;
}

void bench_put(const struct bench *bench, struct bench_block *block)
{
	if (block->memory == BENCH_MLOCK)
		munlock(block->data, bench->size);
	if (block->memory == BENCH_MALLOC || block->memory == BENCH_MLOCK)
		free(block->data);
	else
		munmap(block->data, bench->size);
	if (block->memory == BENCH_DEVICE)
		free_id(bench, block->id);
	free(block);
}
