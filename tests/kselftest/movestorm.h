/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of movestorm: what is fought over, and who fights.
 */
#ifndef BITMEM_MOVESTORM_H
#define BITMEM_MOVESTORM_H

#include "bitmem_genl.h"
#include "bitmem_test.h"

#include <stdlib.h>

#define OWNERS		3
/* Buffers in chunks of a few pages, each chunk with an owner; in chunks of a superblock; wild. */
#define FINE		0
#define COARSE		1
#define WILD		2
#define BUFFERS		4

struct buffer {
	struct bitmem_alloc alloc;
	char *memory;
	size_t length;
	size_t chunk;		/* bytes that have one owner; 0: all belongs to nobody */
};

/**
 * struct storm - what all threads share
 * @fd: the file that has the buffers
 * @stop: it is over
 * @wrong: things that must never be, by what they are
 * @done: things done
 */
struct storm {
	const struct bt *t;
	int fd;
	struct bn nl;
	bool trims;
	bool stop;
	struct buffer buffers[BUFFERS];
	unsigned long content;
	unsigned long refused;
	unsigned long done[16];
};

/* One of the threads. @act does one thing. */
struct fighter {
	pthread_t thread;
	struct storm *storm;
	void (*act)(struct fighter *me);
	unsigned int number;
	unsigned int seed;
	int pipe[2];
	void *own;		/* an owner's notes */
};

static inline unsigned int roll(struct fighter *me, unsigned int sides)
{
	return rand_r(&me->seed) % sides;
}

static inline void count(unsigned long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* movestorm_own.c: threads that know what is in their chunks */
int own_begin(struct fighter *me);
void own_act(struct fighter *me);
void own_end(struct fighter *me);

/* movestorm.c */
int set_pool(struct bn *nl, uint32_t index, uint64_t target, uint64_t reserve);
uint64_t storm_target(const struct storm *storm, uint32_t index);

/* movestorm_wild.c: threads that know nothing */
int wild_handlers(void);
bool wild_copy(void *to, const void *from, size_t length);
void wild_write(struct fighter *me);
void wild_churn(struct fighter *me);
void wild_compact(struct fighter *me);
void wild_migrate(struct fighter *me);
void wild_splice(struct fighter *me);
void wild_lock(struct fighter *me);
void wild_fork(struct fighter *me);
void wild_interrupt(struct fighter *me);
void wild_stay(bool first);

#endif /* BITMEM_MOVESTORM_H */
