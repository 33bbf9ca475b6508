// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem ps: who holds what.
 *
 * The pools say how much is allocated, /proc says to whom, and the kernel lists what
 * no descriptor leads to. What is left over has holders that cannot be seen from
 * here, and is shown as that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "device.h"
#include "holders.h"
#include "output.h"
#include "owners.h"
#include "table.h"
#include "text.h"
#include "unseen.h"

/* Tags of a file that fit in its row. */
#define SHOWN_TAGS 4

struct picture {
	struct holders holders;
	uint64_t allocated;
	uint64_t accounted;
	uint64_t unaccounted;
};

static json_t *process_json(const struct process *process)
{
	json_t *object = json_object();

	output_json_set(&object, "pid", json_integer(process->pid));
	output_json_set(&object, "comm", output_json_text(process->comm));
	return object;
}

static json_t *processes_json(const struct held_file *file)
{
	json_t *array = json_array();

	for (size_t i = 0; i < file->n_processes; i++)
		output_json_append(&array, process_json(&file->processes[i]));
	return array;
}

static json_t *buffer_json(const struct held_buffer *buffer)
{
	json_t *object = json_object();

	output_json_set(&object, "id", output_json_u64(buffer->id));
	output_json_set(&object, "bytes", output_json_u64(buffer->bytes));
	output_json_set(&object, "age_ms", output_json_u64(buffer->age_ms));
	output_json_set(&object, "mappings", output_json_u64(buffer->mappings));
	output_json_set(&object, "tag", output_json_text(buffer->tag));
	output_json_set(&object, "exports",
			buffer->told ? output_json_u64(buffer->exports) : json_null());
	output_json_set(&object, "name",
			*buffer->name ? output_json_text(buffer->name) : json_null());
	return object;
}

static json_t *buffers_json(const struct held_file *file)
{
	json_t *array = json_array();

	for (size_t i = 0; i < file->n_list; i++)
		output_json_append(&array, buffer_json(&file->list[i]));
	return array;
}

/* Whether is known how many buffers are exported, and published. */
static bool is_told(const struct held_file *file)
{
	return file->told || !file->buffers;
}

static json_t *count_json(const struct held_file *file, uint64_t count)
{
	return is_told(file) ? output_json_u64(count) : json_null();
}

static json_t *file_json(const struct held_file *file)
{
	json_t *object = json_object();

	output_json_set(&object, "file", output_json_u64(file->file));
	output_json_set(&object, "owner", output_json_u64(file->owner));
	output_json_set(&object, "processes", processes_json(file));
	output_json_set(&object, "buffers", output_json_u64(file->buffers));
	output_json_set(&object, "bytes", output_json_u64(file->bytes));
	output_json_set(&object, "peak_bytes", output_json_u64(file->peak_bytes));
	output_json_set(&object, "age_ms", output_json_u64(file->age_ms));
	output_json_set(&object, "exported", count_json(file, file->exported));
	output_json_set(&object, "published", count_json(file, file->published));
	output_json_set(&object, "buffer_list", buffers_json(file));
	return object;
}

static json_t *mapper_json(const struct mapper *mapper)
{
	json_t *object = json_object();

	output_json_set(&object, "process", process_json(&mapper->process));
	output_json_set(&object, "mapped_bytes", output_json_u64(mapper->bytes));
	return object;
}

static int print_json(const struct picture *picture)
{
	const struct holders *holders = &picture->holders;
	json_t *object = json_object();
	json_t *files = json_array();
	json_t *mappers = json_array();
	char why[OWNERS_WHY_LEN];

	for (size_t i = 0; i < holders->n_files; i++)
		output_json_append(&files, file_json(&holders->files[i]));
	for (size_t i = 0; i < holders->n_mappers; i++)
		output_json_append(&mappers, mapper_json(&holders->mappers[i]));
	output_json_set(&object, "files", files);
	output_json_set(&object, "mappers", mappers);
	output_json_set(&object, "allocated", output_json_u64(picture->allocated));
	output_json_set(&object, "accounted", output_json_u64(picture->accounted));
	output_json_set(&object, "unaccounted", output_json_u64(picture->unaccounted));
	output_json_set(&object, "owners_error",
			holders->owners_error ? json_string(owners_why(holders->owners_error, why))
					      : json_null());
	output_json_set(&object, "hidden_processes", output_json_u64(holders->hidden));
	return output_json(object);
}

static void pids_cell(struct table *table, const struct held_file *file)
{
	char text[128] = "-";
	size_t used = 0;

	for (size_t i = 0; i < file->n_processes; i++) {
		int n = snprintf(text + used, sizeof(text) - used, "%s%d", i ? "," : "",
				 file->processes[i].pid);

		if (n < 0 || (size_t)n >= sizeof(text) - used - sizeof(",...")) {
			strcpy(text + used, ",...");
			break;
		}
		used += (size_t)n;
	}
	table_cell(table, "%s", text);
}

/* Whether an earlier buffer of the file has the tag of buffer @n. */
static bool is_repeated(const struct held_file *file, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(file->list[i].tag, file->list[n].tag))
			return true;
	}
	return false;
}

static void tags_cell(struct table *table, const struct held_file *file)
{
	char text[SHOWN_TAGS * (sizeof(file->list->tag) + 2) + sizeof("...")] = "";
	unsigned int shown = 0;

	for (size_t i = 0; i < file->n_list; i++) {
		if (!*file->list[i].tag || is_repeated(file, i))
			continue;
		if (shown == SHOWN_TAGS) {
			strcat(text, ", ...");
			break;
		}
		if (shown++)
			strcat(text, ", ");
		strcat(text, file->list[i].tag);
	}
	table_cell(table, "%s", text);
}

static void count_cell(struct table *table, const struct held_file *file, uint64_t count)
{
	if (is_told(file))
		table_cell(table, "%" PRIu64, count);
	else
		table_cell(table, "-");
}

static void add_file(struct table *table, const struct held_file *file)
{
	char size[TEXT_SIZE_LEN];
	char age[TEXT_AGE_LEN];

	table_cell(table, "%" PRIu64, file->file);
	pids_cell(table, file);
	table_cell(table, "%s", file->n_processes ? file->processes[0].comm : "-");
	table_cell(table, "%" PRIu64, file->buffers);
	table_cell(table, "%s", text_size(file->bytes, size));
	table_cell(table, "%s", text_size(file->peak_bytes, size));
	table_cell(table, "%s", text_age(file->age_ms, age));
	count_cell(table, file, file->exported);
	count_cell(table, file, file->published);
	tags_cell(table, file);
}

static void add_mapper(struct table *table, const struct mapper *mapper)
{
	char size[TEXT_SIZE_LEN];

	table_cell(table, "-");
	table_cell(table, "%d", mapper->process.pid);
	table_cell(table, "%s", mapper->process.comm);
	table_cell(table, "-");
	table_cell(table, "%s", text_size(mapper->bytes, size));
	table_cell(table, "-");
	table_cell(table, "-");
	table_cell(table, "-");
	table_cell(table, "-");
	table_cell(table, "(mapped, descriptor closed)");
}

static void add_header(struct table *table)
{
	static const struct {
		const char *name;
		bool right;
	} columns[] = {
		{"FILE", true},	     {"PID", false}, {"COMM", false}, {"BUFFERS", true},
		{"BYTES", true},     {"PEAK", true}, {"AGE", true},   {"EXPORTED", true},
		{"PUBLISHED", true}, {"TAG", false},
	};

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		table_cell(table, "%s", columns[i].name);
		if (columns[i].right)
			table_align_right(table, i);
	}
}

static int print_table(const struct holders *holders)
{
	struct table *table = table_new(10);
	int err;

	if (!table)
		return -1;
	add_header(table);
	for (size_t i = 0; i < holders->n_files; i++)
		add_file(table, &holders->files[i]);
	for (size_t i = 0; i < holders->n_mappers; i++)
		add_mapper(table, &holders->mappers[i]);
	err = table_print(table);
	table_free(table);
	return err;
}

static void print_rest(const struct picture *picture)
{
	char size[TEXT_SIZE_LEN];
	char why[OWNERS_WHY_LEN];

	printf("\n%" PRIu64 " bytes (%s) allocated", picture->allocated,
	       text_size(picture->allocated, size));
	if (picture->unaccounted)
		printf(", %" PRIu64 " bytes (%s) of them by no file seen here",
		       picture->unaccounted, text_size(picture->unaccounted, size));
	if (picture->holders.hidden)
		printf("; %zu %s not permitted to look into", picture->holders.hidden,
		       picture->holders.hidden == 1 ? "process" : "processes");
	if (picture->holders.owners_error)
		printf("; %s", owners_why(picture->holders.owners_error, why));
	putchar('\n');
}

static int print_text(const struct picture *picture)
{
	if (print_table(&picture->holders)) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	print_rest(picture);
	return output_flush();
}

/*
 * The device is closed again before /proc is searched, or this program's own file
 * would be among the holders.
 */
static int read_allocated(uint64_t *allocated)
{
	struct bitmem_pool_info *pools;
	struct device device;

	if (device_open(&device))
		return -1;
	pools = device_pools(&device);
	*allocated = 0;
	for (uint32_t i = 0; pools && i < device.info.out_pools; i++)
		*allocated += pools[i].out_allocated;
	free(pools);
	device_close(&device);
	return pools ? 0 : -1;
}

static int compare_files(const void *a, const void *b)
{
	const struct held_file *first = a;
	const struct held_file *second = b;

	if (first->bytes != second->bytes)
		return first->bytes < second->bytes ? 1 : -1;
	return (first->file > second->file) - (first->file < second->file);
}

static int take_picture(struct picture *picture)
{
	struct holders *holders = &picture->holders;

	if (read_allocated(&picture->allocated))
		return -1;
	if (holders_scan(device_path(), holders)) {
		output_error("/proc: %s", strerror(errno));
		return -1;
	}
	if (unseen_add(holders)) {
		output_error("%s", strerror(errno));
		holders_free(holders);
		return -1;
	}
	if (holders->n_files)
		qsort(holders->files, holders->n_files, sizeof(*holders->files), compare_files);
	picture->accounted = 0;
	for (size_t i = 0; i < holders->n_files; i++)
		picture->accounted += holders->files[i].bytes;
	/* The two were not read at the same instant. */
	picture->unaccounted = picture->allocated > picture->accounted
				       ? picture->allocated - picture->accounted
				       : 0;
	return 0;
}

/* There is but one. */
static int take_option(void *json, int option, const char *text)
{
	(void)option;
	(void)text;
	*(bool *)json = true;
	return 0;
}

static int run(int argc, char **argv)
{
	struct picture picture;
	bool json = false;
	int status = command_parse(&cmd_ps, argc, argv, take_option, &json);

	if (status >= 0)
		return status;
	if (take_picture(&picture))
		return EXIT_FAILURE;
	status = (json ? print_json(&picture) : print_text(&picture)) ? EXIT_FAILURE : EXIT_SUCCESS;
	holders_free(&picture.holders);
	return status;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	COMMAND_HELP,
};

const struct command cmd_ps = {
	.name = "ps",
	.run = run,
	.options = longs,
	.summary = "show who holds memory of the device",
	.usage = "[--json]\n"
		 "\n"
		 "Run by root it sees every process.\n"
		 "\n"
		 "  --json  print one JSON object, with every buffer that the kernel lists\n",
};
