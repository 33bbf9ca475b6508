// SPDX-License-Identifier: GPL-2.0
/*
 * A metric is a name, its HELP and TYPE, and a sample for each pool or user. Label values
 * are numbers and words of our own, so that there is nothing to escape.
 */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/bitmem.h>

#include "counters.h"
#include "output.h"
#include "owners.h"

/* What a user has, over all files. */
struct user {
	uint32_t uid;
	uint64_t files;
	uint64_t closed_bytes;
	uint64_t buffers;
	uint64_t bytes;
	uint64_t exported;
	uint64_t published;
	uint64_t fixed;
};

static void describe(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static uint64_t value_at(const void *structure, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)structure + offset, sizeof(value));
	return value;
}

/* --- pools --- */

static void pool_labels(FILE *out, const char *name, const struct bitmem_pool_info *pool)
{
	fprintf(out, "%s{pool=\"%u\",node=\"%d\",width=\"%u\"", name, pool->index, pool->out_node,
		pool->out_width);
}

#define POOL(_member) offsetof(struct bitmem_pool_info, _member)

static const struct {
	const char *name;
	const char *type;
	const char *help;
	size_t offset;
} pool_metrics[] = {
	{"bitmem_pool_capacity_bytes", "gauge", "Memory that the pool holds.", POOL(out_capacity)},
	{"bitmem_pool_target_bytes", "gauge", "What the pool is to hold now.", POOL(out_target)},
	{"bitmem_pool_max_bytes", "gauge", "The pool grows up to this.", POOL(out_max)},
	{"bitmem_pool_reserve_bytes", "gauge", "The pool is not shrunk below this.",
	 POOL(out_reserve)},
	{"bitmem_pool_whole_bytes", "gauge", "Free memory in whole superblocks.",
	 POOL(out_largest)},
	{"bitmem_pool_split_bytes", "gauge", "Superblocks that are split into single pages.",
	 POOL(out_split)},
	{"bitmem_pool_gathered_bytes", "gauge", "Superblocks put together from single pages.",
	 POOL(out_gathered)},
	{"bitmem_pool_reclaimable_bytes", "gauge", "What the system counts as reclaimable.",
	 POOL(out_reclaimable)},
	{"bitmem_pool_buffers", "gauge", "Buffers that hold pages of the pool.", POOL(out_buffers)},
	{"bitmem_pool_allocations_total", "counter", "Buffers given out.", POOL(out_allocs)},
	{"bitmem_pool_fallbacks_total", "counter",
	 "Buffers given out that had asked for another node.", POOL(out_fallbacks)},
	{"bitmem_pool_failures_total", "counter", "Requests refused.", POOL(out_failures)},
	{"bitmem_pool_returned_bytes_total", "counter", "Memory given back to the system.",
	 POOL(out_returned)},
	{"bitmem_pool_moved_bytes_total", "counter",
	 "Memory copied by compaction, demotion, promotion or migration.", POOL(out_moved)},
};

/* Metrics of which a pool has one sample a state, or a watermark. */
struct part {
	const char *value;
	size_t offset;
};

static const struct part states[] = {
	{"zeroed", POOL(out_zeroed)},	    {"dirty", POOL(out_dirty)},
	{"allocated", POOL(out_allocated)}, {"quarantined", POOL(out_quarantined)},
	{"retired", POOL(out_retired)},
};

static const struct part watermarks[] = {
	{"low", POOL(out_low)},
	{"high", POOL(out_high)},
	{"emergency", POOL(out_emergency)},
};

static void write_parts(FILE *out, const struct bitmem_pool_info *pools, size_t n, const char *name,
			const char *label, const struct part *parts, size_t n_parts)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n_parts; j++) {
			pool_labels(out, name, &pools[i]);
			fprintf(out, ",%s=\"%s\"} %" PRIu64 "\n", label, parts[j].value,
				value_at(&pools[i], parts[j].offset));
		}
	}
}

static void write_states(FILE *out, const struct bitmem_pool_info *pools, size_t n)
{
	describe(out, "bitmem_pool_bytes", "gauge",
		 "The pool's memory by state; the states add up to its capacity.");
	write_parts(out, pools, n, "bitmem_pool_bytes", "state", states,
		    sizeof(states) / sizeof(states[0]));
	describe(out, "bitmem_pool_watermark_bytes", "gauge",
		 "Free memory below which the pool's level rises, and above which it falls.");
	write_parts(out, pools, n, "bitmem_pool_watermark_bytes", "watermark", watermarks,
		    sizeof(watermarks) / sizeof(watermarks[0]));
	describe(out, "bitmem_pool_level", "gauge",
		 "How little of the pool is free: 0 enough, 1 low, 2 emergency.");
	for (size_t i = 0; i < n; i++) {
		pool_labels(out, "bitmem_pool_level", &pools[i]);
		fprintf(out, "} %u\n", pools[i].out_level);
	}
	describe(out, "bitmem_pool_filling", "gauge",
		 "1 while the pool is on its way to its target.");
	for (size_t i = 0; i < n; i++) {
		pool_labels(out, "bitmem_pool_filling", &pools[i]);
		fprintf(out, "} %d\n", counters_filling(&pools[i]));
	}
}

static void write_pools(FILE *out, const struct bitmem_pool_info *pools, size_t n)
{
	write_states(out, pools, n);
	for (size_t i = 0; i < sizeof(pool_metrics) / sizeof(pool_metrics[0]); i++) {
		describe(out, pool_metrics[i].name, pool_metrics[i].type, pool_metrics[i].help);
		for (size_t j = 0; j < n; j++) {
			pool_labels(out, pool_metrics[i].name, &pools[j]);
			fprintf(out, "} %" PRIu64 "\n",
				value_at(&pools[j], pool_metrics[i].offset));
		}
	}
}

/* --- users --- */

#define USER(_member) offsetof(struct user, _member)

static const struct {
	const char *name;
	const char *help;
	size_t offset;
} user_metrics[] = {
	{"bitmem_user_bytes", "Memory of the user's buffers.", USER(bytes)},
	{"bitmem_user_closed_bytes",
	 "Those of them whose file is closed by everybody, and which something else keeps.",
	 USER(closed_bytes)},
	{"bitmem_user_files", "Open files of the user that have buffers.", USER(files)},
	{"bitmem_user_buffers", "The user's buffers.", USER(buffers)},
	{"bitmem_user_exported_buffers", "Those of them that DMA-bufs refer to.", USER(exported)},
	{"bitmem_user_published_buffers", "Those of them that have a name.", USER(published)},
	{"bitmem_user_fixed_buffers", "Those of them that are held in place.", USER(fixed)},
};

static int compare_uids(const void *a, const void *b)
{
	const struct owner *first = a;
	const struct owner *second = b;

	return (first->uid > second->uid) - (first->uid < second->uid);
}

/* Adds the owners of each user up into @users, which has room. Returns how many there are. */
static size_t add_up_users(struct owners *owners, struct user *users)
{
	size_t n = 0;

	if (owners->n)
		qsort(owners->list, owners->n, sizeof(*owners->list), compare_uids);
	for (size_t i = 0; i < owners->n; i++) {
		const struct owner *owner = &owners->list[i];
		struct user *user;

		if (!n || users[n - 1].uid != owner->uid)
			users[n++] = (struct user){.uid = owner->uid};
		user = &users[n - 1];
		user->files += !owner->closed;
		user->closed_bytes += owner->closed ? owner->bytes : 0;
		user->buffers += owner->buffers;
		user->bytes += owner->bytes;
		user->exported += owner->exported;
		user->published += owner->published;
		user->fixed += owner->fixed;
	}
	return n;
}

static int write_users(FILE *out, struct owners *owners)
{
	struct user *users = calloc(owners->n + 1, sizeof(*users));
	size_t n;

	if (!users) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	n = add_up_users(owners, users);
	for (size_t i = 0; n && i < sizeof(user_metrics) / sizeof(user_metrics[0]); i++) {
		describe(out, user_metrics[i].name, "gauge", user_metrics[i].help);
		for (size_t j = 0; j < n; j++)
			fprintf(out, "%s{uid=\"%u\"} %" PRIu64 "\n", user_metrics[i].name,
				users[j].uid, value_at(&users[j], user_metrics[i].offset));
	}
	free(users);
	return 0;
}

/* --- the whole --- */

static void write_info(FILE *out, const struct device *device, bool told)
{
	describe(out, "bitmem_info", "gauge", "Versions, as labels; always 1.");
	fprintf(out, "bitmem_info{version=\"%s\",abi=\"%u\"} 1\n", bitmem_version(),
		device->info.out_abi);
	describe(out, "bitmem_superblock_size_bytes", "gauge", "The size of a superblock.");
	fprintf(out, "bitmem_superblock_size_bytes %" PRIu64 "\n",
		(uint64_t)device->info.out_superblock_size);
	describe(out, "bitmem_users_told", "gauge",
		 "1 if the kernel told of users here: of all with CAP_SYS_ADMIN, else of one.");
	fprintf(out, "bitmem_users_told %d\n", told);
}

int metrics_write(const struct device *device, FILE *out)
{
	struct bitmem_pool_info *pools = device_pools(device);
	struct owners owners;
	bool told;
	int err;

	if (!pools)
		return -1;
	err = owners_read(&owners, device->info.out_nodes);
	told = !err;
	/* In another network namespace there is nobody to ask. */
	if (err && err != -ENOENT) {
		output_error("netlink: %s", strerror(-err));
		free(pools);
		return -1;
	}
	write_info(out, device, told);
	write_pools(out, pools, device->info.out_pools);
	err = told ? write_users(out, &owners) : 0;
	if (told)
		owners_free(&owners);
	free(pools);
	return err;
}
