// SPDX-License-Identifier: GPL-2.0
/*
 * A loaded model as one JSON object or as a table for people.
 */
#include "model_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "table.h"
#include "text.h"

#define GIB ((double)(1 << 30))

static json_t *shape_json(const struct bitmem_model_entry *entry)
{
	json_t *shape = json_array();

	for (unsigned int i = 0; i < entry->ndims; i++)
		output_json_append(&shape, output_json_u64(entry->shape[i]));
	return shape;
}

static json_t *tensor_json(const struct bitmem_model_entry *entry, const char *sha256)
{
	json_t *tensor = json_object();

	output_json_set(&tensor, "name", output_json_text(entry->name));
	output_json_set(&tensor, "dtype", output_json_text(entry->dtype_name));
	output_json_set(&tensor, "shape", shape_json(entry));
	output_json_set(&tensor, "bytes", output_json_u64(entry->bytes));
	if (sha256)
		output_json_set(&tensor, "sha256", json_string(sha256));
	return tensor;
}

static json_t *tensors_json(const struct model_report *report)
{
	const struct bitmem_model_entry *entry;
	json_t *tensors = json_array();

	for (size_t i = 0; (entry = bitmem_model_entry(report->model, i)); i++)
		output_json_append(&tensors,
				   tensor_json(entry, report->digests ? report->digests[i] : NULL));
	return tensors;
}

static json_t *files_json(const struct bitmem_model *model)
{
	json_t *files = json_array();
	const char *path;

	for (size_t i = 0; (path = bitmem_model_file(model, i)); i++)
		output_json_append(&files, output_json_text(path));
	return files;
}

int model_report_json(const struct model_report *report)
{
	struct bitmem_model_info info = {.size = sizeof(info)};
	json_t *object = json_object();

	bitmem_model_info(report->model, &info);
	output_json_set(&object, "files", files_json(report->model));
	output_json_set(&object, "format", json_string(info.format_name));
	output_json_set(&object, "backend", json_string(report->backend));
	output_json_set(&object, "io", json_string(info.io));
	output_json_set(&object, "bytes", output_json_u64(info.bytes));
	output_json_set(&object, "seconds", json_real(info.seconds));
	output_json_set(&object, "tensors", tensors_json(report));
	return output_json(object);
}

/* "[32, 4096]" for any number of dimensions. */
static const char *shape_text(const struct bitmem_model_entry *entry,
			      char buf[32 * BITMEM_MAX_DIMS])
{
	char *out = buf;

	*out++ = '[';
	for (unsigned int i = 0; i < entry->ndims && i < BITMEM_MAX_DIMS; i++)
		out += sprintf(out, "%s%" PRIu64, i ? ", " : "", entry->shape[i]);
	strcpy(out, "]");
	return buf;
}

static void add_tensors(struct table *table, const struct model_report *report)
{
	const struct bitmem_model_entry *entry;
	char shape[32 * BITMEM_MAX_DIMS];

	for (size_t i = 0; (entry = bitmem_model_entry(report->model, i)); i++) {
		table_cell(table, "%s", entry->name);
		table_cell(table, "%s", entry->dtype_name);
		table_cell(table, "%s", shape_text(entry, shape));
		table_cell(table, "%" PRIu64, entry->bytes);
		if (report->digests)
			table_cell(table, "%s", report->digests[i]);
	}
}

static int print_tensors(const struct model_report *report)
{
	struct table *table = table_new(report->digests ? 5 : 4);
	int err;

	if (!table)
		return -1;
	table_cell(table, "NAME");
	table_cell(table, "DTYPE");
	table_cell(table, "SHAPE");
	table_cell(table, "BYTES");
	if (report->digests)
		table_cell(table, "SHA256");
	table_align_right(table, 3);
	add_tensors(table, report);
	err = table_print(table);
	table_free(table);
	return err;
}

static void print_totals(const struct model_report *report)
{
	struct bitmem_model_info info = {.size = sizeof(info)};
	char size[TEXT_SIZE_LEN];

	bitmem_model_info(report->model, &info);
	printf("\n%zu %s, %" PRIu64 " bytes (%s) of %s from %zu %s\n", info.tensors,
	       info.tensors == 1 ? "tensor" : "tensors", info.bytes, text_size(info.bytes, size),
	       info.format_name, info.files, info.files == 1 ? "file" : "files");
	printf("in %.3f s, %.2f GiB/s, backend %s, I/O %s\n", info.seconds,
	       info.seconds > 0 ? (double)info.bytes / GIB / info.seconds : 0, report->backend,
	       info.io);
}

int model_report_text(const struct model_report *report)
{
	if (print_tensors(report)) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	print_totals(report);
	return output_flush();
}
