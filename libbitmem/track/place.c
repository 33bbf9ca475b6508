/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../site.h"
#include "full.h"
#include "place.h"

#define WANTED	1u

/* A place and the number that it came from. */
struct named {
	struct bitmem_place place;
	unsigned int number;
};

int bm_places_init(struct bm_places *places)
{
	*places = (struct bm_places) { .index = calloc(BM_NR_NUMBERS, sizeof(*places->index)) };
	return places->index ? 0 : -ENOMEM;
}

void bm_places_destroy(struct bm_places *places)
{
	for (uint32_t i = 0; i < places->n; i++)
		free((void *)(uintptr_t)places->places[i].stack);
	free(places->places);
	free(places->index);
}

void bm_places_settle(struct bm_places *places)
{
	free(places->index);
	places->index = NULL;
}

void bm_places_want(struct bm_places *places, unsigned int number)
{
	places->index[number] = WANTED;
}

static int compare_text(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return a == b ? 0 : strcmp(a, b);
}

static int compare_number(uintptr_t a, uintptr_t b)
{
	return (a > b) - (a < b);
}

int bm_place_compare(const struct bitmem_place *a, const struct bitmem_place *b)
{
	int order = compare_text(a->file, b->file);

	if (!order)
		order = compare_number(a->line, b->line);
	if (!order)
		order = compare_text(a->function, b->function);
	if (!order)
		order = compare_number((uintptr_t)a->address, (uintptr_t)b->address);
	if (!order)
		order = compare_number(a->depth, b->depth);
	for (unsigned int i = 0; !order && i < a->depth; i++)
		order = compare_number((uintptr_t)a->stack[i], (uintptr_t)b->stack[i]);
	return order;
}

static int compare_named(const void *a, const void *b)
{
	return bm_place_compare(&((const struct named *)a)->place,
				&((const struct named *)b)->place);
}

/* What a number stands for; its stack is still the depot's. */
static struct bitmem_place place_of(const struct bitmem *ctx, unsigned int number)
{
	const struct bm_full *full = ctx->track.full;
	const struct bm_stack_entry *entry = NULL;
	struct bm_site_info info;

	if (full && number < BM_DEPOT_SIZE)
		entry = full->depot.entries[number];
	info = bm_site_info(entry ? entry->site : full ? 0 : number);
	return (struct bitmem_place) {
		.file = info.file, .function = info.function, .line = info.line,
		.address = info.address, .depth = entry ? entry->n : 0,
		.stack = entry && entry->n ? entry->address : NULL,
	};
}

static int copy_stack(struct bitmem_place *place)
{
	const size_t size = place->depth * sizeof(*place->stack);
	const void **stack;

	if (!size)
		return 0;
	stack = malloc(size);
	if (!stack)
		return -ENOMEM;
	memcpy(stack, place->stack, size);
	place->stack = stack;
	return 0;
}

/* Each of those that are sorted once. */
static int keep(struct bm_places *places, const struct named *named, size_t n)
{
	places->places = calloc(n, sizeof(*places->places));
	if (!places->places)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!i || compare_named(&named[i - 1], &named[i])) {
			places->places[places->n] = named[i].place;
			if (copy_stack(&places->places[places->n]))
				return -ENOMEM;
			places->n++;
		}
		places->index[named[i].number] = places->n - 1;
	}
	return 0;
}

int bm_places_make(struct bm_places *places, const struct bitmem *ctx)
{
	struct named *named;
	size_t n = 0;
	int ret;

	for (unsigned int i = 0; i < BM_NR_NUMBERS; i++)
		n += places->index[i] == WANTED;
	if (!n)
		return 0;
	named = calloc(n, sizeof(*named));
	if (!named)
		return -ENOMEM;
	n = 0;
	for (unsigned int i = 0; i < BM_NR_NUMBERS; i++) {
		if (places->index[i] == WANTED)
			named[n++] = (struct named) { place_of(ctx, i), i };
	}
	qsort(named, n, sizeof(*named), compare_named);
	ret = keep(places, named, n);
	free(named);
	return ret;
}
