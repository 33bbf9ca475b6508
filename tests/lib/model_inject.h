/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Faults for the tests of model loading. The linker puts the functions of
 * model_inject.c before the C library's and liburing's (see the Makefile); they do
 * what the plan says. Memory is refused by inject.h.
 */
#ifndef BITMEM_MODEL_INJECT_H
#define BITMEM_MODEL_INJECT_H

#include <stdbool.h>

enum fault {
	FAULT_NONE,
	FAULT_SHORT,	/* half of a read, whole blocks */
	FAULT_ODD,	/* a read that ends inside a block */
	FAULT_EINTR,
	FAULT_EAGAIN,	/* of direct reads only */
	FAULT_EINVAL,	/* of direct reads only */
	FAULT_EIO,
	FAULT_END,	/* as if the file ended there */
};

#define BLOCK_NONE 1u /* no direct reads at all */

/* What to do, and to which call or calls; counted while armed. */
extern struct plan {
	bool armed;
	enum fault read;
	unsigned int read_at, read_every, read_calls, done;
	bool data_hit;	/* a read of data, not of a header, was disturbed */
	int no_ring;	/* errno with which rings are refused */
	int submit;	/* errno with which submissions are refused ... */
	unsigned int submit_from, submit_to, submit_calls; /* ... and which ones */
	unsigned int in_flight; /* reads not yet reaped when a ring was given up, in all */
	unsigned int block; /* what statx() says of direct reads; 0: the truth */
} plan;

#endif /* BITMEM_MODEL_INJECT_H */
