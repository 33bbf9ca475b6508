/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From figures to a level of pressure.
 *
 * A level ends five points below where it begins. That is as much as the two
 * levels that are nearest to each other are apart: when a level ends, the one
 * below has not ended yet, so a falling usage goes through all levels one by one,
 * like a rising one. And it is more than a context changes by giving its free
 * memory back on a machine of the usual size, so that this does not by itself
 * end the level, and the next request begin it again.
 */
#include "level.h"

#define POINTS 5
#define LEVELS (BITMEM_PRESSURE_CRITICAL + 1)

/* Percent in use from which on it is this level. */
static const unsigned int begin[LEVELS] = {
	[BITMEM_PRESSURE_LOW] = 60,
	[BITMEM_PRESSURE_MEDIUM] = 80,
	[BITMEM_PRESSURE_HIGH] = 90,
	[BITMEM_PRESSURE_CRITICAL] = 95,
};

/* Somebody waits for memory: from a tenth of the time on, until less than half of that. */
#define STALL_BEGIN	1000
#define STALL_END	500

/* Whether at least @percent are in use. */
static bool at_least(struct bm_usage usage, unsigned int percent)
{
	if (usage.used > usage.total)
		usage.used = usage.total;
	while (usage.total > UINT64_MAX / 100) {
		usage.total >>= 1;
		usage.used >>= 1;
	}
	return usage.total && usage.used * 100 >= usage.total * percent;
}

/* The highest level that the usage begins, or does not end. */
static unsigned int base_of(unsigned int last, const struct bm_usage *usage)
{
	unsigned int level = LEVELS - 1;

	while (level && !at_least(*usage, begin[level] - (level <= last ? POINTS : 0)))
		level--;
	return level;
}

enum bitmem_pressure bm_level_next(struct bm_level *level, const struct bm_reading *reading)
{
	unsigned int base = BITMEM_PRESSURE_NONE, now;

	for (int i = 0; i < BM_USAGES; i++) {
		now = base_of(level->base, &reading->usage[i]);
		if (now > base)
			base = now;
	}
	level->base = base;
	level->stalled = reading->stalled ||
			 reading->stall >= (level->stalled ? STALL_END : STALL_BEGIN);
	now = base > reading->floor ? base : reading->floor;
	if (level->stalled && now < BITMEM_PRESSURE_CRITICAL)
		now++;
	return now;
}
