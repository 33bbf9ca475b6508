// SPDX-License-Identifier: GPL-2.0
/*
 * Samples, and what lies between two of them.
 */
#include "top.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "output.h"
#include "progress.h"
#include "text.h"

static const char *const key_names[] = {
	[TOP_BYTES] = "bytes", [TOP_CHANGE] = "change", [TOP_BUFFERS] = "buffers",
	[TOP_AGE] = "age",     [TOP_PID] = "pid",
};

const char *top_key_name(unsigned int key)
{
	return key < TOP_KEYS ? key_names[key] : NULL;
}

/* --- samples --- */

static void sample_free(struct top_sample *sample)
{
	free(sample->pools);
	owners_free(&sample->owners);
	*sample = (struct top_sample){0};
}

static int sample_read(const struct device *device, struct top_sample *sample)
{
	int err;

	*sample = (struct top_sample){.time = progress_clock()};
	sample->pools = device_pools(device);
	if (!sample->pools)
		return -1;
	err = owners_read(&sample->owners, device->info.out_nodes);
	sample->owners_error = err;
	if (err != -ENOMEM)
		return 0;
	sample_free(sample);
	output_error("%s", strerror(ENOMEM));
	return -1;
}

void top_start(struct top *top, const struct device *device)
{
	*top = (struct top){.device = device};
}

void top_end(struct top *top)
{
	sample_free(&top->now);
	sample_free(&top->before);
	free(top->holders);
	top->holders = NULL;
}

/* --- holders --- */

static double change_of(const struct top *top, const struct owner *owner)
{
	const struct owner *before = owners_find(&top->before.owners, owner->file);
	double seconds = top->now.time - top->before.time;
	double bytes = (double)owner->bytes - (before ? (double)before->bytes : 0);

	return top->rates && seconds > 0 ? bytes / seconds : 0;
}

static int list_holders(struct top *top)
{
	const struct owners *owners = &top->now.owners;
	struct top_holder *list;

	list = reallocarray(top->holders, owners->n + 1, sizeof(*list));
	if (!list) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	top->holders = list;
	top->n_holders = owners->n;
	for (size_t i = 0; i < owners->n; i++) {
		list[i].owner = &owners->list[i];
		list[i].change = change_of(top, list[i].owner);
	}
	return 0;
}

int top_read(struct top *top)
{
	struct top_sample sample;

	if (sample_read(top->device, &sample))
		return -1;
	sample_free(&top->before);
	top->rates = top->now.pools != NULL;
	top->before = top->now;
	top->now = sample;
	if (list_holders(top))
		return -1;
	top_sort(top);
	return 0;
}

static double key_value(const struct top_holder *holder, enum top_key key)
{
	switch (key) {
	case TOP_CHANGE:
		return holder->change;
	case TOP_BUFFERS:
		return (double)holder->owner->buffers;
	case TOP_AGE:
		return (double)holder->owner->age_ms;
	case TOP_PID:
		return -(double)holder->owner->pid;
	default:
		return (double)holder->owner->bytes;
	}
}

static int compare(const void *a, const void *b, void *data)
{
	const struct top_holder *first = a;
	const struct top_holder *second = b;
	const struct top *top = data;
	double x = key_value(first, top->key);
	double y = key_value(second, top->key);
	int order = (x < y) - (x > y);

	if (!order)
		order = (first->owner->file > second->owner->file) -
			(first->owner->file < second->owner->file);
	return top->reverse ? -order : order;
}

void top_sort(struct top *top)
{
	if (top->n_holders)
		qsort_r(top->holders, top->n_holders, sizeof(*top->holders), compare, top);
}

/* --- pools --- */

static double per_second(const struct top *top, uint64_t now, uint64_t before)
{
	double seconds = top->now.time - top->before.time;

	return seconds > 0 ? ((double)now - (double)before) / seconds : 0;
}

struct top_rates top_pool_rates(const struct top *top, uint32_t i)
{
	const struct bitmem_pool_info *now = &top->now.pools[i];
	const struct bitmem_pool_info *before;

	if (!top->rates)
		return (struct top_rates){0};
	before = &top->before.pools[i];
	return (struct top_rates){
		.allocs = per_second(top, now->out_allocs, before->out_allocs),
		.failures = per_second(top, now->out_failures, before->out_failures),
		.change = per_second(top, now->out_allocated, before->out_allocated),
		.moved = per_second(top, now->out_moved, before->out_moved),
		.returned = per_second(top, now->out_returned, before->out_returned),
	};
}

void top_totals(const struct top *top, uint64_t *capacity, uint64_t *allocated, uint64_t *unseen)
{
	uint64_t seen = 0;

	*capacity = 0;
	*allocated = 0;
	for (uint32_t i = 0; i < top->device->info.out_pools; i++) {
		*capacity += top->now.pools[i].out_capacity;
		*allocated += top->now.pools[i].out_allocated;
	}
	for (size_t i = 0; i < top->n_holders; i++)
		seen += top->holders[i].owner->bytes;
	/* The two were not read at the same instant. */
	*unseen = *allocated > seen ? *allocated - seen : 0;
}

/* --- text --- */

const char *top_change(const struct top *top, double change, char buf[TOP_CHANGE_LEN])
{
	char size[TEXT_SIZE_LEN];

	if (!top->rates)
		return strcpy(buf, "-");
	if (change > -1 && change < 1)
		return strcpy(buf, "0");
	text_size((uint64_t)(change < 0 ? -change : change), size);
	snprintf(buf, TOP_CHANGE_LEN, "%c%s/s", change < 0 ? '-' : '+', size);
	return buf;
}

const char *top_rate(const struct top *top, double rate, char buf[TOP_CHANGE_LEN])
{
	if (!top->rates)
		return strcpy(buf, "-");
	snprintf(buf, TOP_CHANGE_LEN, rate < 100 && rate > 0 ? "%.1f" : "%.0f", rate);
	return buf;
}

/* --- JSON --- */

static void set_rate(const struct top *top, json_t **object, const char *key, double rate)
{
	output_json_set(object, key, top->rates ? json_real(rate) : json_null());
}

static json_t *pool_json(const struct top *top, uint32_t i)
{
	json_t *object = counters_json(&top->now.pools[i], COUNTERS_ALL);
	struct top_rates rates = top_pool_rates(top, i);

	set_rate(top, &object, "allocs_per_second", rates.allocs);
	set_rate(top, &object, "failures_per_second", rates.failures);
	set_rate(top, &object, "change_per_second", rates.change);
	set_rate(top, &object, "moved_per_second", rates.moved);
	set_rate(top, &object, "returned_per_second", rates.returned);
	return object;
}

static json_t *holder_json(const struct top *top, const struct top_holder *holder)
{
	const struct owner *owner = holder->owner;
	json_t *object = json_object();

	output_json_set(&object, "file", output_json_u64(owner->file));
	output_json_set(&object, "pid", owner->pid ? json_integer(owner->pid) : json_null());
	output_json_set(&object, "uid", json_integer(owner->uid));
	output_json_set(&object, "comm", output_json_text(owner->comm));
	output_json_set(&object, "closed", json_boolean(owner->closed));
	output_json_set(&object, "buffers", output_json_u64(owner->buffers));
	output_json_set(&object, "bytes", output_json_u64(owner->bytes));
	set_rate(top, &object, "change_per_second", holder->change);
	output_json_set(&object, "age_ms", output_json_u64(owner->age_ms));
	output_json_set(&object, "exported", output_json_u64(owner->exported));
	output_json_set(&object, "published", output_json_u64(owner->published));
	output_json_set(&object, "tag", output_json_text(owner->tag));
	return object;
}

json_t *top_json(const struct top *top)
{
	json_t *object = json_object();
	json_t *pools = json_array();
	json_t *holders = json_array();
	char why[OWNERS_WHY_LEN];
	uint64_t capacity;
	uint64_t allocated;
	uint64_t unseen;

	top_totals(top, &capacity, &allocated, &unseen);
	for (uint32_t i = 0; i < top->device->info.out_pools; i++)
		output_json_append(&pools, pool_json(top, i));
	for (size_t i = 0; i < top->n_holders; i++)
		output_json_append(&holders, holder_json(top, &top->holders[i]));
	output_json_set(&object, "seconds",
			top->rates ? json_real(top->now.time - top->before.time) : json_null());
	output_json_set(&object, "capacity", output_json_u64(capacity));
	output_json_set(&object, "allocated", output_json_u64(allocated));
	output_json_set(&object, "unseen", output_json_u64(unseen));
	output_json_set(&object, "owners_error",
			top->now.owners_error ? json_string(owners_why(top->now.owners_error, why))
					      : json_null());
	output_json_set(&object, "pools", pools);
	output_json_set(&object, "holders", holders);
	return object;
}
