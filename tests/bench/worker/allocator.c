// SPDX-License-Identifier: GPL-2.0
#include "allocator.h"

#include <bitmem/bitmem.h>
#include <dlfcn.h>
#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "replay.h"

/* All arenas: MALLCTL_ARENAS_ALL of jemalloc.h, which is no part of its binary. */
#define JEMALLOC_PURGE "arena.4096.purge"

static int (*mallctl_call)(const char *, void *, size_t *, void *, size_t);
static void (*mimalloc_collect)(bool);
static void (*tcmalloc_release)(void);

static void trim_nothing(void)
{
}

static void trim_glibc(void)
{
	malloc_trim(0);
}

static void trim_tcmalloc(void)
{
	tcmalloc_release();
}

static void trim_mimalloc(void)
{
	mimalloc_collect(true);
}

static void trim_jemalloc(void)
{
	mallctl_call("thread.tcache.flush", NULL, NULL, NULL, 0);
	mallctl_call(JEMALLOC_PURGE, NULL, NULL, NULL, 0);
}

static void trim_bitmem(void)
{
	bitmem_trim(replay_ctx);
}

/* Each has a function that only it has; glibc has none of them. */
static const struct peer {
	const char *name, *symbol;
	void **call;
	void (*trim)(void);
} peers[] = {
	{ "tcmalloc", "MallocExtension_ReleaseFreeMemory", (void **)&tcmalloc_release,
	  trim_tcmalloc },
	{ "mimalloc", "mi_collect", (void **)&mimalloc_collect, trim_mimalloc },
	{ "jemalloc", "mallctl", (void **)&mallctl_call, trim_jemalloc },
	{ "glibc", "malloc_trim", NULL, trim_glibc },
};

static const char *const levels[] = {
	[BITMEM_TRACKING_COUNTERS] = "bitmem-counters",
	[BITMEM_TRACKING_SITES] = "bitmem-sites",
	[BITMEM_TRACKING_FULL] = "bitmem-full",
};

#define LEVELS ((int)(sizeof(levels) / sizeof(*levels)))

static enum bitmem_tracking level_of(const char *name)
{
	int i;

	for (i = 0; i < LEVELS; i++) {
		if (levels[i] && !strcmp(levels[i], name))
			return (enum bitmem_tracking)i;
	}
	return BITMEM_TRACKING_AUTO;
}

static const char *library_of(const void *symbol)
{
	const char *slash;
	Dl_info info;

	if (!dladdr(symbol, &info) || !info.dli_fname)
		return "";
	slash = strrchr(info.dli_fname, '/');
	return slash ? slash + 1 : info.dli_fname;
}

static void find_malloc(struct allocator *allocator, const char *name)
{
	const struct peer *peer = peers;
	void *symbol;

	while (!(symbol = dlsym(RTLD_DEFAULT, peer->symbol)))
		peer++;
	if (strcmp(peer->name, name))
		errx(3, "%s is not there: malloc() is that of %s", name, peer->name);
	if (peer->call)
		*peer->call = symbol;
	allocator->blocks = &replay_malloc;
	allocator->trim = peer->trim;
	allocator->library = library_of(symbol);
}

void allocator_find(struct allocator *allocator, const char *name)
{
	allocator->name = name;
	if (level_of(name)) {
		allocator->blocks = &replay_bitmem;
		allocator->trim = trim_bitmem;
		allocator->library = library_of((const void *)(uintptr_t)bitmem_open);
	} else if (!strcmp(name, "null")) {
		allocator->blocks = &replay_null;
		allocator->trim = trim_nothing;
		allocator->library = "";
	} else {
		find_malloc(allocator, name);
	}
	allocator->replay = allocator->blocks;
}

void allocator_use_tensors(struct allocator *allocator)
{
	if (allocator->blocks == &replay_bitmem)
		allocator->replay = &tensors_bitmem;
	else if (allocator->blocks == &replay_malloc)
		allocator->replay = &tensors_malloc;
}

void allocator_open(const struct allocator *allocator)
{
	struct bitmem_error error;
	struct bitmem_options options;

	if (allocator->blocks != &replay_bitmem)
		return;
	bitmem_options_init(&options);
	options.tracking = level_of(allocator->name);
	options.error = &error;
	replay_ctx = bitmem_open(&options);
	if (!replay_ctx)
		errx(1, "bitmem_open: %s", error.text);
}

bool allocator_stats(const struct allocator *allocator, struct bitmem_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return allocator->blocks == &replay_bitmem && !bitmem_stats(replay_ctx, stats);
}

const char *allocator_backend(const struct allocator *allocator)
{
	if (allocator->blocks != &replay_bitmem)
		return NULL;
	return bitmem_backend_name(bitmem_backend(replay_ctx));
}

bool allocator_zeroes(const struct allocator *allocator)
{
	const uint32_t size = 8192;
	unsigned char *block;
	bool zero = true;
	unsigned int i, round;

	for (round = 0; round < 8; round++) {
		allocator->blocks->allocate((void **)&block, &size, 1, WRITE_NOTHING);
		for (i = 0; i < size; i++)
			zero &= !block[i];
		memset(block, 0xff, size);
		allocator->blocks->release((void **)&block, 1);
	}
	return zero;
}
