// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of pools: their names, and tables of them.
 */
#include "counters.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "output.h"
#include "table.h"
#include "text.h"

/* In the order in which they are shown. */
static const struct counter {
	const char *name;
	size_t offset;
	enum counters_detail detail;
	bool is_bytes;
} counters[] = {
	{"target", offsetof(struct bitmem_pool_info, out_target), COUNTERS_MAIN, true},
	{"max", offsetof(struct bitmem_pool_info, out_max), COUNTERS_ALL, true},
	{"reserve", offsetof(struct bitmem_pool_info, out_reserve), COUNTERS_ALL, true},
	{"low", offsetof(struct bitmem_pool_info, out_low), COUNTERS_ALL, true},
	{"high", offsetof(struct bitmem_pool_info, out_high), COUNTERS_ALL, true},
	{"emergency", offsetof(struct bitmem_pool_info, out_emergency), COUNTERS_ALL, true},
	{"capacity", offsetof(struct bitmem_pool_info, out_capacity), COUNTERS_MAIN, true},
	{"zeroed", offsetof(struct bitmem_pool_info, out_zeroed), COUNTERS_MAIN, true},
	{"dirty", offsetof(struct bitmem_pool_info, out_dirty), COUNTERS_MAIN, true},
	{"allocated", offsetof(struct bitmem_pool_info, out_allocated), COUNTERS_MAIN, true},
	{"quarantined", offsetof(struct bitmem_pool_info, out_quarantined), COUNTERS_MAIN, true},
	{"retired", offsetof(struct bitmem_pool_info, out_retired), COUNTERS_MAIN, true},
	{"largest", offsetof(struct bitmem_pool_info, out_largest), COUNTERS_MAIN, true},
	{"split", offsetof(struct bitmem_pool_info, out_split), COUNTERS_MAIN, true},
	{"gathered", offsetof(struct bitmem_pool_info, out_gathered), COUNTERS_ALL, true},
	{"reclaimable", offsetof(struct bitmem_pool_info, out_reclaimable), COUNTERS_ALL, true},
	{"returned", offsetof(struct bitmem_pool_info, out_returned), COUNTERS_ALL, true},
	{"moved", offsetof(struct bitmem_pool_info, out_moved), COUNTERS_ALL, true},
	{"buffers", offsetof(struct bitmem_pool_info, out_buffers), COUNTERS_MAIN, false},
	{"allocs", offsetof(struct bitmem_pool_info, out_allocs), COUNTERS_MAIN, false},
	{"fallbacks", offsetof(struct bitmem_pool_info, out_fallbacks), COUNTERS_MAIN, false},
	{"failures", offsetof(struct bitmem_pool_info, out_failures), COUNTERS_MAIN, false},
};

#define N_COUNTERS (sizeof(counters) / sizeof(counters[0]))

bool counters_filling(const struct bitmem_pool_info *pool)
{
	return pool->out_state & BITMEM_POOL_FILLING;
}

const char *counters_level(unsigned int level)
{
	static const char *const names[] = {"none", "low", "emergency"};

	return level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

static uint64_t value_of(const struct bitmem_pool_info *pool, const struct counter *counter)
{
	uint64_t value;

	memcpy(&value, (const char *)pool + counter->offset, sizeof(value));
	return value;
}

json_t *counters_json(const struct bitmem_pool_info *pool, enum counters_detail detail)
{
	json_t *object = json_object();

	output_json_set(&object, "index", json_integer(pool->index));
	output_json_set(&object, "node", json_integer(pool->out_node));
	output_json_set(&object, "width", json_integer(pool->out_width));
	output_json_set(&object, "filling", json_boolean(counters_filling(pool)));
	output_json_set(&object, "level", json_string(counters_level(pool->out_level)));
	for (size_t i = 0; i < N_COUNTERS; i++) {
		if (counters[i].detail <= detail)
			output_json_set(&object, counters[i].name,
					output_json_u64(value_of(pool, &counters[i])));
	}
	return object;
}

json_t *counters_json_all(const struct bitmem_pool_info *pools, size_t n,
			  enum counters_detail detail)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		output_json_append(&array, counters_json(&pools[i], detail));
	return array;
}

static void value_cell(struct table *table, const struct counter *counter, uint64_t value)
{
	char size[TEXT_SIZE_LEN];

	if (counter->is_bytes)
		table_cell(table, "%s", text_size(value, size));
	else
		table_cell(table, "%" PRIu64, value);
}

static void add_counter(struct table *table, const struct counter *counter,
			const struct bitmem_pool_info *pools, size_t n)
{
	uint64_t total = 0;

	table_cell(table, "%s", counter->name);
	for (size_t i = 0; i < n; i++) {
		uint64_t value = value_of(&pools[i], counter);

		value_cell(table, counter, value);
		total += value;
	}
	if (n > 1)
		value_cell(table, counter, total);
}

/* A row of something that has no total. */
static void end_row(struct table *table, size_t n)
{
	if (n > 1)
		table_cell(table, "-");
}

static void add_header(struct table *table, const struct bitmem_pool_info *pools, size_t n)
{
	table_cell(table, "POOL");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%u", pools[i].index);
	if (n > 1)
		table_cell(table, "TOTAL");
	table_cell(table, "node");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%d", pools[i].out_node);
	end_row(table, n);
	table_cell(table, "width");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%u", pools[i].out_width);
	end_row(table, n);
	table_cell(table, "state");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%s", counters_filling(&pools[i]) ? "filling" : "ready");
	end_row(table, n);
	table_cell(table, "level");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%s", counters_level(pools[i].out_level));
	end_row(table, n);
}

int counters_print(const struct bitmem_pool_info *pools, size_t n, enum counters_detail detail)
{
	size_t columns = n + 1 + (n > 1);
	struct table *table = table_new(columns);
	int err = -1;

	if (table) {
		for (size_t i = 1; i < columns; i++)
			table_align_right(table, i);
		add_header(table, pools, n);
		for (size_t i = 0; i < N_COUNTERS; i++) {
			if (counters[i].detail <= detail)
				add_counter(table, &counters[i], pools, n);
		}
		err = table_print(table);
		table_free(table);
	}
	if (err)
		output_error("%s", strerror(ENOMEM));
	return err;
}
