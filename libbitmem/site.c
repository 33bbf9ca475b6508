/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table grows at its end only, under its lock; a number is handed out when what it stands
 * for has been written.
 *
 * Callers without a site of their own are found by address, and places that are known when the
 * program runs by file and line, in a hash table with open addressing, whose entries are
 * written once: it is read without the lock.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "site.h"
#include "util.h"

#define MAX_SITES	BM_SITE_OTHER
#define HASH_SIZE	32768u	/* twice the sites at least */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bm_site_info sites[MAX_SITES];
static unsigned int nr_sites = 1;	/* 0 is none */
static uint16_t by_key[HASH_SIZE];	/* numbers */
/* By number, for places without a site of their own. */
static struct bitmem_site handed_out[MAX_SITES];

void bm_sites_lock(void)
{
	pthread_mutex_lock(&lock);
}

void bm_sites_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static unsigned int add(const struct bm_site_info *info)
{
	unsigned int number = nr_sites;

	if (number == MAX_SITES)
		return BM_SITE_OTHER;
	sites[number] = *info;
	__atomic_store_n(&nr_sites, number + 1, __ATOMIC_RELEASE);
	return number;
}

unsigned int bm_site_number(struct bitmem_site *site)
{
	uint32_t state = __atomic_load_n(&site->state, __ATOMIC_ACQUIRE);

	if (state)
		return state & BM_SLOT_SITE;
	pthread_mutex_lock(&lock);
	state = site->state;
	if (!state) {
		const struct bm_site_info info = {
			.file = site->file, .function = site->function, .line = site->line,
		};

		state = BM_SLOT_BLOCK | add(&info);
		__atomic_store_n(&site->state, state, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return state & BM_SLOT_SITE;
}

static inline bool is_same(const struct bm_site_info *a, const struct bm_site_info *b)
{
	/* What has an address has nothing else. */
	if (b->address)
		return a->address == b->address;
	return a->file == b->file && a->line == b->line && a->function == b->function;
}

static inline unsigned int hash(const struct bm_site_info *info)
{
	const uint64_t key = info->address ? (uintptr_t)info->address :
			     (uintptr_t)info->file + ((uint64_t)info->line << 32);

	return (unsigned int)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 49);
}

/* Where the number of @info is, or where it would have to be. */
static inline uint16_t *find(const struct bm_site_info *info)
{
	for (unsigned int i = hash(info);; i++) {
		uint16_t *entry = &by_key[i % HASH_SIZE];
		unsigned int number = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

		if (!number || is_same(&sites[number], info))
			return entry;
	}
}

static __attribute__((noinline)) unsigned int find_or_add(const struct bm_site_info *info)
{
	unsigned int number;
	uint16_t *entry;

	pthread_mutex_lock(&lock);
	entry = find(info);
	number = *entry;
	if (!number) {
		number = add(info);
		if (number != BM_SITE_OTHER) {
			handed_out[number].state = BM_SLOT_BLOCK | number;
			__atomic_store_n(entry, (uint16_t)number, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&lock);
	return number;
}

static inline unsigned int number_of(const struct bm_site_info *info)
{
	unsigned int number = __atomic_load_n(find(info), __ATOMIC_ACQUIRE);

	return likely(number) ? number : find_or_add(info);
}

unsigned int bm_site_of_caller(const void *address)
{
	return number_of(&(struct bm_site_info) { .address = address });
}

struct bitmem_site *bitmem_site_of(const char *file, unsigned int line, const char *function)
{
	/* Not one of those: with one that is set, the file would have all of them. */
	static struct bitmem_site other = { .state = BM_SLOT_BLOCK | BM_SITE_OTHER };
	unsigned int number;

	if (file)
		number = number_of(&(struct bm_site_info) {
			.file = file, .function = function, .line = line,
		});
	else
		number = bm_site_of_caller(__builtin_return_address(0));
	return number == BM_SITE_OTHER ? &other : &handed_out[number];
}

struct bm_site_info bm_site_info(unsigned int number)
{
	if (!number || number >= __atomic_load_n(&nr_sites, __ATOMIC_ACQUIRE))
		return (struct bm_site_info) { 0 };
	return sites[number];
}
