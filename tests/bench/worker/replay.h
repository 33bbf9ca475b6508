/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Replays: the loops that call an allocator. replay_impl.h holds them; each
 * replay_*.c makes them for one kind of allocator, so that its functions are called
 * as a program would call them and not through a pointer.
 */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmem;
struct histogram;
struct trace;

#define BLOCK_ALIGN 64

/* What is done to a block before it is used; the time for it counts. */
enum writing {
	WRITE_NOTHING,
	/* A word in each page. */
	WRITE_PAGES,
	/* All of it is cleared, unless the allocator has done so. */
	WRITE_ZEROS,
};

struct replay_timing {
	struct histogram *histogram; /* of batches */
	uint64_t overhead;	     /* of the clock */
	unsigned int batch;	     /* pairs */
	enum writing writing;
	uint64_t ns, pairs; /* added to */
};

/* What a replay with checks found. */
struct replay_check {
	uint64_t blocks, bad;
};

struct replay {
	/* Operations @from to @to; @slots holds the blocks that are alive. */
	void (*plain)(const struct trace *trace, void **slots, size_t from, size_t to);
	void (*timed)(const struct trace *trace, void **slots, size_t from, size_t to,
		      struct replay_timing *timing);
	/*
	 * Writes to each page, and stamps into each block's first and last word,
	 * which are looked at when it is freed.
	 */
	void (*checked)(const struct trace *trace, void **slots, size_t from, size_t to,
			struct replay_check *check);
	/* For blocks that change hands. */
	void (*allocate)(void **blocks, const uint32_t *sizes, unsigned int count,
			 enum writing writing);
	void (*release)(void *const *blocks, unsigned int count);
	/* Allocates and frees one block @count times. */
	void (*loop)(size_t size, size_t count);
	/* Of @live blocks in @slots, a random one is replaced @count times. */
	void (*swap)(void **slots, uint32_t live, size_t size, size_t count);
};

extern const struct replay replay_malloc;
extern const struct replay replay_bitmem;
/* Allocates nothing: what the loops themselves take. */
extern const struct replay replay_null;

/* The same with a tensor for each block, which nothing is written to. */
extern const struct replay tensors_malloc;
extern const struct replay tensors_bitmem;

/* What replay_bitmem and tensors_bitmem work on. */
extern struct bitmem *replay_ctx;

/* Stamps a block's first and last word: differently for each tag and size. */
void replay_stamp(void *block, uint32_t tag, uint32_t size);
bool replay_is_stamped(const void *block, uint32_t tag, uint32_t size);
/* Says that there is no memory, and exits. */
void replay_no_memory(size_t size) __attribute__((noreturn, cold));

#endif /* BENCH_REPLAY_H */
