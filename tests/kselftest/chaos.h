/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a process of the chaos test does until it is killed.
 */
#ifndef BITMEM_CHAOS_H
#define BITMEM_CHAOS_H

#include "bitmem_test.h"

#define PROCESSES	8
#define ACTIONS		12

/**
 * struct chaos - what the processes of a round share
 * @ring: sockets; process N writes to [N][1] and reads from [N - 1][0]
 * @did: how often each action was taken, over all rounds
 * @odd: how often one failed for no good reason
 */
struct chaos {
	const struct bt *t;
	int ring[PROCESSES][2];
	unsigned long did[ACTIONS];
	unsigned long odd[ACTIONS];
};

extern const char *const chaos_names[ACTIONS];

/** chaos_live() - be process @number, with a random life that @seed decides. Never returns. */
void chaos_live(struct chaos *chaos, unsigned int number, unsigned int seed)
	__attribute__((noreturn));

#endif /* BITMEM_CHAOS_H */
