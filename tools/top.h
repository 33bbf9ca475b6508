/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What top shows: pools and holders now, and how fast they change.
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "device.h"
#include "owners.h"

enum top_key {
	TOP_BYTES,
	TOP_CHANGE,
	TOP_BUFFERS,
	TOP_AGE,
	TOP_PID,
	TOP_KEYS,
};

/* All at one time. */
struct top_sample {
	double time;
	struct bitmem_pool_info *pools;
	struct owners owners;
	/* 0, or the negative errno for which nothing is told of owners. */
	int owners_error;
};

struct top_holder {
	const struct owner *owner;
	/* Bytes a second. */
	double change;
};

/* What happens in a pool a second. */
struct top_rates {
	double allocs;
	double failures;
	double change; /* of what is allocated, in bytes */
	double moved;
	double returned;
};

struct top {
	const struct device *device;
	struct top_sample now;
	struct top_sample before;
	/* There is a sample before: rates are known. */
	bool rates;
	/* Sorted. */
	struct top_holder *holders;
	size_t n_holders;
	enum top_key key;
	bool reverse;
};

void top_start(struct top *top, const struct device *device);
void top_end(struct top *top);

/* Looks anew. 0, or -1 after saying on stderr what failed. */
int top_read(struct top *top);

void top_sort(struct top *top);

/* The rates of pool @i; zeroes while they are not known. */
struct top_rates top_pool_rates(const struct top *top, uint32_t i);

/* Bytes that pools have, all and allocated, and what of these no holder shown has. */
void top_totals(const struct top *top, uint64_t *capacity, uint64_t *allocated, uint64_t *unseen);

/* "bytes", "change", ...; NULL beyond the last. */
const char *top_key_name(unsigned int key);

/* The pools' rates and the holders' as an object; NULL with ENOMEM. */
json_t *top_json(const struct top *top);

/* "+1.5 MiB/s", "0", or "-" while it is not known. Returns @buf. */
#define TOP_CHANGE_LEN 24
const char *top_change(const struct top *top, double change, char buf[TOP_CHANGE_LEN]);

/* "12.5", or "-" while it is not known. Returns @buf. */
const char *top_rate(const struct top *top, double rate, char buf[TOP_CHANGE_LEN]);

#endif /* TOOLS_TOP_H */
