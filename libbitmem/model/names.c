/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names to indices: open addressing, linear probing, at most three quarters full.
 *
 * The hash is SipHash-2-4 under a random key, so that nobody can make a file
 * whose names all collide. Names are borrowed and must outlive the table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "set.h"

#define FIRST_SLOTS 64

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static uint64_t siphash(const uint64_t key[2], const char *name)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	size_t length = strlen(name), at = 0;
	uint64_t word;

	for (; length - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, name + at, sizeof(word));
		sip_word(v, word);
	}
	word = 0;
	memcpy(&word, name + at, length - at);
	sip_word(v, word | (uint64_t)length << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int bm_names_init(struct bm_names *names)
{
	names->n = 0;
	names->n_slots = FIRST_SLOTS;
	names->slots = calloc(names->n_slots, sizeof(*names->slots));
	if (!names->slots)
		return -ENOMEM;
	if (getrandom(names->key, sizeof(names->key), GRND_NONBLOCK) != sizeof(names->key)) {
		/* Too early in the boot for randomness: addresses are the next best. */
		names->key[0] = (uintptr_t)names->slots;
		names->key[1] = (uintptr_t)&names;
	}
	return 0;
}

void bm_names_fini(struct bm_names *names)
{
	free(names->slots);
	names->slots = NULL;
	names->n = names->n_slots = 0;
}

/* The slot that holds @name, or the free one where it belongs. */
static struct bm_name_slot *slot_of(const struct bm_names *names, const char *name, uint64_t hash)
{
	size_t i = hash & (names->n_slots - 1);

	while (names->slots[i].name &&
	       (names->slots[i].hash != hash || strcmp(names->slots[i].name, name)))
		i = (i + 1) & (names->n_slots - 1);
	return &names->slots[i];
}

static int grow(struct bm_names *names)
{
	struct bm_names bigger = *names;

	bigger.n_slots = names->n_slots * 2;
	bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < names->n_slots; i++) {
		const struct bm_name_slot *slot = &names->slots[i];

		if (slot->name)
			*slot_of(&bigger, slot->name, slot->hash) = *slot;
	}
	free(names->slots);
	*names = bigger;
	return 0;
}

int bm_names_add(struct bm_names *names, const char *name, size_t value)
{
	uint64_t hash = siphash(names->key, name);
	struct bm_name_slot *slot;

	if (names->n >= names->n_slots / 4 * 3) {
		int err = grow(names);

		if (err)
			return err;
	}
	slot = slot_of(names, name, hash);
	if (slot->name)
		return -EEXIST;
	*slot = (struct bm_name_slot){.name = name, .hash = hash, .value = value};
	names->n++;
	return 0;
}

size_t bm_names_find(const struct bm_names *names, const char *name)
{
	const struct bm_name_slot *slot = slot_of(names, name, siphash(names->key, name));

	return slot->name ? slot->value : SIZE_MAX;
}
