// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem attach: a published buffer, or a model that somebody holds: shown, or handed to a program.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd.h"
#include "device.h"
#include "held.h"
#include "named.h"
#include "number.h"
#include "output.h"
#include "table.h"
#include "text.h"

/* Where descriptors for a program start, as sd_listen_fds(3) has it. */
#define FIRST_FD 3

struct options {
	bool json;
	bool readonly;
	uint32_t uid;
	const char *name;
	/* NULL: show it. */
	char **program;
};

/* What was attached. */
struct attached {
	struct bitmem_query buffer;
	/* Of a model, else NULL. */
	json_t *index;
	struct bitmem_query *parts;
	size_t n_parts;
};

/* --- attaching --- */

static int attach_parts(const struct device *device, const struct options *options,
			struct attached *attached)
{
	const json_t *buffers = json_object_get(attached->index, "buffers");
	size_t n = json_array_size(buffers);
	char name[BITMEM_NAME_LEN];

	attached->parts = calloc(n + 1, sizeof(*attached->parts));
	if (!attached->parts) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *length = json_object_get(json_array_get(buffers, i), "length");
		struct bitmem_query *part = &attached->parts[i];

		if (named_attach(device, held_part(options->name, i, name), options->uid,
				 options->readonly, part))
			return -1;
		if (part->out_length != (uint64_t)json_integer_value(length)) {
			output_error("%s: is not as long as the index says", name);
			return -1;
		}
		attached->n_parts++;
	}
	return 0;
}

static int attach(const struct device *device, const struct options *options,
		  struct attached *attached)
{
	const char *why;

	if (named_attach(device, options->name, options->uid, options->readonly,
			 &attached->buffer))
		return -1;
	if (!held_is_index(&attached->buffer))
		return 0;
	attached->index = held_read(device->fd, &attached->buffer, &why);
	if (!attached->index) {
		output_error("%s: index: %s", options->name, why);
		return -1;
	}
	return attach_parts(device, options, attached);
}

static void detach(struct attached *attached)
{
	json_decref(attached->index);
	free(attached->parts);
}

/* --- JSON --- */

static json_t *buffer_json(const struct bitmem_query *buffer)
{
	char tag[BITMEM_TAG_LEN + 1] = "";
	json_t *object = json_object();

	memcpy(tag, buffer->out_tag, BITMEM_TAG_LEN);
	output_json_set(&object, "bytes", output_json_u64(buffer->out_length));
	output_json_set(&object, "resident", output_json_u64(buffer->out_resident));
	output_json_set(&object, "readonly",
			json_boolean(buffer->out_flags & BITMEM_BUFFER_READONLY));
	output_json_set(&object, "mappings", json_integer(buffer->out_mappings));
	output_json_set(&object, "exports", json_integer(buffer->out_exports));
	output_json_set(&object, "age_ms", output_json_u64(buffer->out_age_ns / 1000000));
	output_json_set(&object, "tag", output_json_text(tag));
	return object;
}

/* What of the index is for everybody. */
static json_t *model_json(const struct attached *attached)
{
	static const char *const keys[] = {"format", "bytes", "files", "tensors"};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		output_json_set(&object, keys[i],
				json_incref(json_object_get(attached->index, keys[i])));
	return object;
}

static int print_json(const struct options *options, const struct attached *attached)
{
	json_t *object = json_object();
	json_t *buffers = json_array();

	for (size_t i = 0; i < attached->n_parts; i++)
		output_json_append(&buffers, buffer_json(&attached->parts[i]));
	if (!attached->index)
		output_json_append(&buffers, buffer_json(&attached->buffer));
	output_json_set(&object, "name", output_json_text(options->name));
	output_json_set(&object, "buffers", buffers);
	output_json_set(&object, "model", attached->index ? model_json(attached) : json_null());
	return output_json(object);
}

/* --- text --- */

static void add_header(struct table *table, const char *const *header, size_t n, size_t right)
{
	for (size_t i = 0; i < n; i++) {
		table_cell(table, "%s", header[i]);
		if (i >= right)
			table_align_right(table, i);
	}
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void add_tensor(struct table *table, const json_t *tensor)
{
	char *shape = json_dumps(json_object_get(tensor, "shape"), 0);

	table_cell(table, "%s", text_of(tensor, "name"));
	table_cell(table, "%s", text_of(tensor, "dtype"));
	table_cell(table, "%s", shape ? shape : "?");
	table_cell(table, "%" PRIu64, number_of(tensor, "buffer"));
	table_cell(table, "%" PRIu64, number_of(tensor, "offset"));
	table_cell(table, "%" PRIu64, number_of(tensor, "bytes"));
	free(shape);
}

static int print_tensors(const json_t *index)
{
	static const char *const header[] = {"NAME", "DTYPE", "SHAPE", "BUFFER", "OFFSET", "BYTES"};
	struct table *table = table_new(6);
	json_t *tensor;
	size_t i;
	int err;

	if (!table)
		return -1;
	add_header(table, header, 6, 3);
	json_array_foreach(json_object_get(index, "tensors"), i, tensor)
		add_tensor(table, tensor);
	err = table_print(table);
	table_free(table);
	return err;
}

static void add_buffer(struct table *table, size_t i, const struct bitmem_query *buffer)
{
	char age[TEXT_AGE_LEN];

	table_cell(table, "%zu", i);
	table_cell(table, "%" PRIu64, (uint64_t)buffer->out_length);
	table_cell(table, "%s", buffer->out_flags & BITMEM_BUFFER_READONLY ? "read" : "write");
	table_cell(table, "%u", buffer->out_mappings);
	table_cell(table, "%u", buffer->out_exports);
	table_cell(table, "%s", text_age(buffer->out_age_ns / 1000000, age));
}

static int print_buffers(const struct attached *attached)
{
	static const char *const header[] = {"BUFFER", "BYTES", "ACCESS", "MAPPED", "EXPORTED",
					     "AGE"};
	struct table *table = table_new(6);
	int err;

	if (!table)
		return -1;
	add_header(table, header, 6, 0);
	for (size_t i = 0; i < attached->n_parts; i++)
		add_buffer(table, i, &attached->parts[i]);
	if (!attached->index)
		add_buffer(table, 0, &attached->buffer);
	err = table_print(table);
	table_free(table);
	return err;
}

static int print_text(const struct attached *attached)
{
	const json_t *index = attached->index;
	int err = index ? print_tensors(index) : 0;

	if (index) {
		size_t n = json_array_size(json_object_get(index, "tensors"));
		char *format = text_escape(text_of(index, "format"));

		printf("\n%zu %s, %" PRIu64 " bytes of %s\n\n", n, n == 1 ? "tensor" : "tensors",
		       number_of(index, "bytes"), format ? format : "?");
		free(format);
	}
	if (!err)
		err = print_buffers(attached);
	if (!err)
		return output_flush();
	output_error("%s", strerror(ENOMEM));
	return -1;
}

/* --- a program --- */

/* The index as a file that can be read, and not be changed. -1 with errno. */
static int index_file(const json_t *index)
{
	int fd = memfd_create("bitmem-index", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (json_dumpfd(index, fd, JSON_COMPACT | JSON_ENSURE_ASCII) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ||
	    lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Moves @fd to where the program looks for its @i-th descriptor of @n. None of those that are
 * still to be moved is in the way, as they are all beyond.
 */
static int place(int fd, int i, int n)
{
	int high;

	if (fd < 0)
		return -1;
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD + n);
	close(fd);
	if (high < 0)
		return -1;
	return dup2(high, FIRST_FD + i) < 0 || close(high) ? -1 : 0;
}

static int set_environment(int n, const char *names)
{
	char count[16];
	char pid[16];

	snprintf(count, sizeof(count), "%d", n);
	snprintf(pid, sizeof(pid), "%d", getpid());
	return setenv("LISTEN_FDS", count, 1) || setenv("LISTEN_PID", pid, 1) ||
	       setenv("LISTEN_FDNAMES", names, 1);
}

/* The descriptors in their places; their names are "index:0:1:..." or "buffer". */
static int place_all(const struct device *device, const struct attached *attached)
{
	/* As many as there can be, of four digits and a colon. */
	static char names[sizeof("index") + HELD_MAX_BUFFERS * 5] = "buffer";
	int n = attached->index ? (int)attached->n_parts + 1 : 1;
	/* Out of the way of the places. */
	int file = fcntl(device->fd, F_DUPFD_CLOEXEC, FIRST_FD + n);
	size_t used;

	if (file < 0)
		return -1;
	if (!attached->index)
		return place(held_export(file, &attached->buffer), 0, n) ||
		       set_environment(n, names);
	if (place(index_file(attached->index), 0, n))
		return -1;
	used = (size_t)sprintf(names, "index");
	for (int i = 1; i < n; i++) {
		if (place(held_export(file, &attached->parts[i - 1]), i, n))
			return -1;
		used += (size_t)sprintf(names + used, ":%d", i - 1);
	}
	return set_environment(n, names);
}

/* Returns only if it failed. */
static int run_program(const struct device *device, const struct options *options,
		       const struct attached *attached)
{
	if (place_all(device, attached)) {
		output_error("%s: %s", options->name, strerror(errno));
		return -1;
	}
	execvp(options->program[0], options->program);
	output_error("%s: %s", options->program[0], strerror(errno));
	return -1;
}

/* --- the command --- */

static int do_it(const struct device *device, void *data)
{
	const struct options *options = data;
	struct attached attached = {0};
	int err = attach(device, options, &attached);

	if (!err && options->program)
		err = run_program(device, options, &attached);
	else if (!err)
		err = options->json ? print_json(options, &attached) : print_text(&attached);
	detach(&attached);
	return err;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;
	uint64_t uid;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'r':
		options->readonly = true;
		return 0;
	default:
		if (number_parse("--uid", text, 0, UINT32_MAX - 1, &uid))
			return -1;
		options->uid = (uint32_t)uid;
		return 0;
	}
}

static int parse_arguments(struct options *options, int argc, char **argv)
{
	if (optind == argc) {
		output_error("attach: no name given");
		return -1;
	}
	options->name = argv[optind];
	if (optind + 1 < argc)
		options->program = &argv[optind + 1];
	if (options->json && options->program) {
		output_error("--json: does not go with a program: %s", *options->program);
		return -1;
	}
	return named_check("NAME", options->name);
}

static int run(int argc, char **argv)
{
	struct options options = {.uid = BITMEM_UID_SELF};
	int status = command_parse(&cmd_attach, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (parse_arguments(&options, argc, argv))
		return command_usage_error(&cmd_attach);
	return command_on_device(do_it, &options);
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"read-only", no_argument, NULL, 'r'},
	{"uid", required_argument, NULL, 'u'},
	COMMAND_HELP,
};

const struct command cmd_attach = {
	.name = "attach",
	.run = run,
	.options = longs,
	.arguments = true,
	.summary = "show a published model or buffer, or run a program on it",
	.usage = "[--uid UID] [--read-only] [--json] NAME\n"
		 "       bitmem attach [--uid UID] [--read-only] NAME -- PROGRAM [ARGUMENT]...\n"
		 "\n"
		 "The program has dma-bufs to map from descriptor 3 on, and LISTEN_FDS and\n"
		 "LISTEN_FDNAMES as sd_listen_fds(3) reads them: \"buffer\", or of a model \"index\",\n"
		 "a JSON text, and then \"0\", \"1\" ...\n"
		 "\n"
		 "  --uid UID    whose name it is; else one's own\n"
		 "  --read-only  even if it may be written to\n"
		 "  --json       print one JSON object\n",
};
