/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bitmaps in words of 64 bits: ranges of them, a word at a time. Not locked. */
#include "arena.h"

#define WORD 64u

/* The bits of one word that are among the @n from @first on. @first is below WORD. */
static uint64_t mask(size_t first, size_t n)
{
	uint64_t bits = n < WORD ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;

	return bits << first;
}

/* How many of @n bits from @first on are in @first's word. */
static size_t here(size_t first, size_t n)
{
	size_t room = WORD - first % WORD;

	return n < room ? n : room;
}

void bm_bits_set(uint64_t *bits, size_t first, size_t n)
{
	for (size_t k; n; first += k, n -= k) {
		k = here(first, n);
		bits[first / WORD] |= mask(first % WORD, k);
	}
}

void bm_bits_clear(uint64_t *bits, size_t first, size_t n)
{
	for (size_t k; n; first += k, n -= k) {
		k = here(first, n);
		bits[first / WORD] &= ~mask(first % WORD, k);
	}
}

size_t bm_bits_count(const uint64_t *bits, size_t first, size_t n)
{
	size_t count = 0;

	for (size_t k; n; first += k, n -= k) {
		k = here(first, n);
		count += (size_t)__builtin_popcountll(bits[first / WORD] & mask(first % WORD, k));
	}
	return count;
}

size_t bm_bits_find(const uint64_t *bits, size_t first, size_t end, bool value)
{
	for (size_t k; first < end; first += k) {
		uint64_t word = bits[first / WORD];

		k = here(first, end - first);
		word = (value ? word : ~word) & mask(first % WORD, k);
		if (word)
			return first - first % WORD + (size_t)__builtin_ctzll(word);
	}
	return end;
}
