/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table grows at its end only, under its lock; a number is handed out when what it stands
 * for has been written.
 *
 * Callers without a site of their own are found by address in a hash table with open
 * addressing, whose entries are written once: it is read without the lock.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "site.h"

#define MAX_SITES	BM_SITE_OTHER
#define HASH_SIZE	32768u	/* twice the sites at least */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bm_site_info sites[MAX_SITES];
static unsigned int nr_sites = 1;	/* 0 is none */
static uint16_t by_address[HASH_SIZE];	/* numbers */

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

static unsigned int hash(const void *address)
{
	return (unsigned int)(((uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15)) >> 49);
}

/* Where the number of @address is, or where it would have to be. */
static uint16_t *find(const void *address)
{
	for (unsigned int i = hash(address);; i++) {
		uint16_t *entry = &by_address[i % HASH_SIZE];
		unsigned int number = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

		if (!number || sites[number].address == address)
			return entry;
	}
}

unsigned int bm_site_of_caller(const void *address)
{
	uint16_t *entry = find(address);
	unsigned int number = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

	if (number)
		return number;
	pthread_mutex_lock(&lock);
	entry = find(address);
	number = *entry;
	if (!number) {
		number = add(&(struct bm_site_info) { .address = address });
		if (number != BM_SITE_OTHER)
			__atomic_store_n(entry, (uint16_t)number, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return number;
}

struct bm_site_info bm_site_info(unsigned int number)
{
	if (!number || number >= __atomic_load_n(&nr_sites, __ATOMIC_ACQUIRE))
		return (struct bm_site_info) { 0 };
	return sites[number];
}
