/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A hash table with open addressing, twice as large as there are numbers. Nothing leaves it. */
#include <stdlib.h>
#include <string.h>

#include "../site.h"
#include "../util.h"
#include "depot.h"

void bm_depot_init(struct bm_depot *depot, uint64_t *meta_bytes)
{
	depot->nr_stacks = 1;
	depot->nr_sites = BM_DEPOT_STACKS;
	depot->meta_bytes = meta_bytes;
}

void bm_depot_destroy(struct bm_depot *depot)
{
	for (unsigned int i = 0; i < BM_DEPOT_SIZE; i++)
		free(depot->entries[i]);
}

static uint32_t hash(unsigned int site, const void *const *address, unsigned int n)
{
	uint64_t h = site;

	for (unsigned int i = 0; i < n; i++)
		h = (h ^ (uintptr_t)address[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 49);
}

/* Where the number of such an entry is, or where it would have to be. */
static uint16_t *find(struct bm_depot *depot, unsigned int site, const void *const *address,
		      unsigned int n)
{
	for (uint32_t i = hash(site, address, n);; i++) {
		uint16_t *at = &depot->by_hash[i % BM_DEPOT_HASH];
		const struct bm_stack_entry *entry = depot->entries[*at];

		if (!*at || (entry->site == site && entry->n == n &&
			     (!n || !memcmp(entry->address, address, n * sizeof(*address)))))
			return at;
	}
}

/* Adds one as @number, if that is below @end. 0 if it cannot be. */
static unsigned int add(struct bm_depot *depot, uint32_t *number, uint32_t end, unsigned int site,
			const void *const *address, unsigned int n)
{
	struct bm_stack_entry *entry;

	if (*number >= end)
		return 0;
	entry = malloc(sizeof(*entry) + n * sizeof(*address));
	if (!entry)
		return 0;
	entry->site = (uint16_t)site;
	entry->n = (uint16_t)n;
	if (n)
		memcpy(entry->address, address, n * sizeof(*address));
	depot->entries[*number] = entry;
	*depot->meta_bytes += bm_meta_size(entry);
	return (*number)++;
}

unsigned int bm_depot_number(struct bm_depot *depot, unsigned int site,
			     const struct bm_frames *frames)
{
	uint16_t *at = find(depot, site, frames->address, frames->n);
	unsigned int number;

	if (*at)
		return *at;
	number = add(depot, &depot->nr_stacks, BM_DEPOT_STACKS, site, frames->address, frames->n);
	if (!number) {
		depot->lost++;
		at = find(depot, site, NULL, 0);
		if (*at)
			return *at;
		number = add(depot, &depot->nr_sites, BM_DEPOT_SIZE, site, NULL, 0);
	}
	if (!number)
		return BM_SITE_OTHER;
	*at = (uint16_t)number;
	return number;
}
