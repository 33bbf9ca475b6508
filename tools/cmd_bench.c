// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem bench: what the device is worth on this host.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cmd.h"
#include "number.h"
#include "output.h"
#include "stop.h"
#include "table.h"
#include "text.h"

#define DEFAULT_SIZE   ((uint64_t)64 << 20)
#define MIN_SIZE       ((uint64_t)64 << 10)
#define MAX_SIZE       ((uint64_t)1 << 40)
#define DEFAULT_ROUNDS 5

struct options {
	bool json;
	uint64_t size;
	uint64_t rounds;
	const char *dir;
};

/* --- JSON --- */

static json_t *measures_json(const struct bench *bench, enum bench_memory memory)
{
	json_t *object = json_object();

	for (enum bench_measure i = 0; i < BENCH_MEASURES; i++)
		output_json_set(&object, bench_measure_name(i),
				json_real(bench->seconds[memory][i]));
	return object;
}

static int print_json(const struct bench *bench)
{
	json_t *object = json_object();
	json_t *seconds = json_object();
	json_t *missing = json_object();

	for (enum bench_memory i = 0; i < BENCH_MEMORIES; i++) {
		if (bench->missing[i])
			output_json_set(&missing, bench_memory_name(i),
					json_string(strerror(bench->missing[i])));
		else
			output_json_set(&seconds, bench_memory_name(i), measures_json(bench, i));
	}
	output_json_set(&object, "bytes", output_json_u64(bench->size));
	output_json_set(&object, "rounds", json_integer(bench->rounds));
	output_json_set(&object, "direct", json_boolean(bench->direct));
	output_json_set(&object, "seconds", seconds);
	output_json_set(&object, "missing", missing);
	return output_json(object);
}

/* --- text --- */

static void value_text(const struct bench *bench, enum bench_memory memory,
		       enum bench_measure measure, char *text, size_t size)
{
	double seconds = bench->seconds[memory][measure];
	char rate[TEXT_SIZE_LEN];

	if (measure == BENCH_ZERO || measure == BENCH_LOAD)
		snprintf(text, size, "%s/s",
			 text_size((uint64_t)((double)bench->size / seconds), rate));
	else if (seconds < 1e-3)
		snprintf(text, size, "%.1f us", seconds * 1e6);
	else
		snprintf(text, size, "%.2f ms", seconds * 1e3);
}

static void add_cells(struct table *table, const struct bench *bench, enum bench_memory memory,
		      enum bench_measure measure)
{
	double ratio = bench->seconds[memory][measure] / bench->seconds[BENCH_DEVICE][measure];
	char text[32];

	if (bench->missing[memory]) {
		table_cell(table, "-");
		table_cell(table, "-");
		return;
	}
	value_text(bench, memory, measure, text, sizeof(text));
	table_cell(table, "%s", text);
	if (memory != BENCH_DEVICE)
		table_cell(table, ratio < 10 ? "%.2f" : "%.0f", ratio);
}

static int print_table(const struct bench *bench)
{
	static const char *const rows[] = {"allocate", "first touch", "zero again", "load", "free"};
	struct table *table = table_new(2 * BENCH_MEMORIES);
	int err;

	if (!table)
		return -1;
	table_cell(table, "MEASURE");
	table_cell(table, "DEVICE");
	for (enum bench_memory i = BENCH_DEVICE + 1; i < BENCH_MEMORIES; i++) {
		table_cell(table, "%s", bench_memory_name(i));
		table_cell(table, "RATIO");
	}
	for (size_t i = 1; i < 2 * BENCH_MEMORIES; i++)
		table_align_right(table, i);
	for (enum bench_measure measure = 0; measure < BENCH_MEASURES; measure++) {
		table_cell(table, "%s", rows[measure]);
		for (enum bench_memory i = 0; i < BENCH_MEMORIES; i++)
			add_cells(table, bench, i, measure);
	}
	err = table_print(table);
	table_free(table);
	return err;
}

static int print_text(const struct bench *bench)
{
	char size[TEXT_SIZE_LEN];

	printf("%s, the median of %u %s; the file is read %s\n\n", text_size(bench->size, size),
	       bench->rounds, bench->rounds == 1 ? "round" : "rounds",
	       bench->direct ? "past the page cache" : "through the page cache");
	if (print_table(bench)) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	puts("\nRATIO: how many times as long as the device takes.");
	for (enum bench_memory i = 0; i < BENCH_MEMORIES; i++) {
		if (bench->missing[i])
			printf("%s: not to be had: %s\n", bench_memory_name(i),
			       strerror(bench->missing[i]));
	}
	return output_flush();
}

/* --- the command --- */

static int measure(const struct device *device, void *data)
{
	const struct options *options = data;
	uint64_t huge = device->info.out_superblock_size;
	struct bench bench = {
		.device = device,
		/* Huge pages come whole. */
		.size = (options->size + huge - 1) / huge * huge,
		.rounds = (unsigned int)options->rounds,
	};

	if (bench_run(&bench, options->dir))
		return -1;
	return options->json ? print_json(&bench) : print_text(&bench);
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'd':
		options->dir = text;
		return 0;
	case 'r':
		return number_parse("--rounds", text, 1, BENCH_MAX_ROUNDS, &options->rounds);
	default:
		return number_parse("--size", text, MIN_SIZE, MAX_SIZE, &options->size);
	}
}

static int run(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	struct options options = {
		.size = DEFAULT_SIZE,
		.rounds = DEFAULT_ROUNDS,
		.dir = tmp && *tmp ? tmp : "/var/tmp",
	};
	int status = command_parse(&cmd_bench, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	stop_catch();
	status = command_on_device(measure, &options);
	if (status && stop_signal()) {
		output_error("bench: interrupted");
		return EXIT_SIGNAL + stop_signal();
	}
	return status;
}

static const struct option longs[] = {
	{"size", required_argument, NULL, 's'},
	{"rounds", required_argument, NULL, 'r'},
	{"dir", required_argument, NULL, 'd'},
	{"json", no_argument, NULL, 'j'},
	COMMAND_HELP,
};

const struct command cmd_bench = {
	.name = "bench",
	.run = run,
	.options = longs,
	.summary = "measure the device beside other memory of this host",
	.usage = "[--size BYTES] [--rounds N] [--dir DIR] [--json]\n"
		 "\n"
		 "Allocates, writes to, loads a file into and frees memory of the device, of "
		 "malloc,\n"
		 "of malloc and mlock, and of reserved huge pages, by turns.\n"
		 "\n"
		 "  --size BYTES  of one allocation, 64M unless given; K, M and G are understood;\n"
		 "                whole superblocks are taken\n"
		 "  --rounds N    how often, 5 unless given, at most 1000\n"
		 "  --dir DIR     where the file is, without a name; else TMPDIR or /var/tmp\n"
		 "  --json        print one JSON object\n",
};
