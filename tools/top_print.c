// SPDX-License-Identifier: GPL-2.0
/*
 * top for scripts: tables.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "output.h"
#include "table.h"
#include "text.h"
#include "top_view.h"

struct column {
	const char *name;
	bool right;
};

static struct table *new_table(const struct column *columns, size_t n)
{
	struct table *table = table_new(n);

	for (size_t i = 0; table && i < n; i++) {
		table_cell(table, "%s", columns[i].name);
		if (columns[i].right)
			table_align_right(table, i);
	}
	return table;
}

static int end_table(struct table *table)
{
	int err = table ? table_print(table) : -1;

	table_free(table);
	return err;
}

static void add_pool(const struct top *top, struct table *table, uint32_t i)
{
	const struct bitmem_pool_info *pool = &top->now.pools[i];
	struct top_rates rates = top_pool_rates(top, i);
	char text[TOP_CHANGE_LEN];
	char size[TEXT_SIZE_LEN];

	table_cell(table, "%u", pool->index);
	table_cell(table, "%d", pool->out_node);
	table_cell(table, "%s", counters_level(pool->out_level));
	table_cell(table, "%s", text_size(pool->out_capacity, size));
	table_cell(table, "%s", text_size(pool->out_allocated, size));
	table_cell(table, "%s", text_size(pool->out_zeroed + pool->out_dirty, size));
	table_cell(table, "%s", text_size(pool->out_quarantined, size));
	table_cell(table, "%s", top_rate(top, rates.allocs, text));
	table_cell(table, "%s", top_rate(top, rates.failures, text));
	table_cell(table, "%s", top_change(top, rates.change, text));
	table_cell(table, "%s", top_change(top, rates.moved, text));
	table_cell(table, "%s", top_change(top, rates.returned, text));
}

static int print_pools(const struct top *top)
{
	static const struct column columns[] = {
		{"POOL", true},	     {"NODE", true},   {"LEVEL", false},     {"CAPACITY", true},
		{"ALLOCATED", true}, {"FREE", true},   {"QUARANTINE", true}, {"ALLOCS/S", true},
		{"FAIL/S", true},    {"CHANGE", true}, {"MOVED", true},	     {"RETURNED", true},
	};
	struct table *table = new_table(columns, sizeof(columns) / sizeof(columns[0]));

	for (uint32_t i = 0; table && i < top->device->info.out_pools; i++)
		add_pool(top, table, i);
	return end_table(table);
}

static void add_holder(const struct top *top, struct table *table, const struct top_holder *holder)
{
	const struct owner *owner = holder->owner;
	char text[TOP_CHANGE_LEN];
	char size[TEXT_SIZE_LEN];
	char age[TEXT_AGE_LEN];

	table_cell(table, "%" PRIu64, owner->file);
	if (owner->pid)
		table_cell(table, "%u", owner->pid);
	else
		table_cell(table, "-");
	table_cell(table, "%s", *owner->comm ? owner->comm : "-");
	table_cell(table, "%" PRIu64, owner->buffers);
	table_cell(table, "%s", text_size(owner->bytes, size));
	table_cell(table, "%s", top_change(top, holder->change, text));
	table_cell(table, "%s", text_age(owner->age_ms, age));
	table_cell(table, "%" PRIu64, owner->exported);
	table_cell(table, "%" PRIu64, owner->published);
	table_cell(table, "%s%s", owner->closed ? "(closed) " : "", owner->tag);
}

static int print_holders(const struct top *top)
{
	static const struct column columns[] = {
		{"FILE", true},	     {"PID", true},    {"COMM", false}, {"BUFFERS", true},
		{"BYTES", true},     {"CHANGE", true}, {"AGE", true},	{"EXPORTED", true},
		{"PUBLISHED", true}, {"TAG", false},
	};
	struct table *table = new_table(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; table && i < top->n_holders; i++)
		add_holder(top, table, &top->holders[i]);
	return end_table(table);
}

static void print_totals(const struct top *top)
{
	char a[TEXT_SIZE_LEN];
	char b[TEXT_SIZE_LEN];
	char why[OWNERS_WHY_LEN];
	uint64_t capacity;
	uint64_t allocated;
	uint64_t unseen;

	top_totals(top, &capacity, &allocated, &unseen);
	printf("%s of %s allocated", text_size(allocated, a), text_size(capacity, b));
	if (unseen)
		printf(", %s of them by files not told of here", text_size(unseen, a));
	if (top->now.owners_error)
		printf(" (%s)", owners_why(top->now.owners_error, why));
	fputs("\n\n", stdout);
}

int top_print(const struct top *top)
{
	int err;

	print_totals(top);
	err = print_pools(top);
	putchar('\n');
	if (!err)
		err = print_holders(top);
	if (!err)
		return output_flush();
	output_error("%s", strerror(ENOMEM));
	return -1;
}
