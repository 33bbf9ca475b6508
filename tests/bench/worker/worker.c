// SPDX-License-Identifier: GPL-2.0
/*
 * bench-worker: one workload under one allocator, in a process of its own, so that
 * no allocator sees what another left behind. bench-alloc starts it, with the peer's
 * library preloaded. Prints one line of JSON.
 *
 * Exits with 3 if the allocator asked for is not there.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocator.h"
#include "clock.h"
#include "histogram.h"
#include "measured.h"
#include "report.h"

enum {
	MIB = 1 << 20,
	/* callgrind makes everything fifty times slower, and needs no long runs. */
	COUNT_SHORTER = 8,
};

struct arguments {
	const char *allocator, *workload, *writing;
	bool crossing, count, tiny, tensors;
	uint64_t threads, ms, budget, model, seed, size, live, pairs;
};

static const struct option options[] = {
	{ "allocator", required_argument, NULL, 'a' },
	{ "workload", required_argument, NULL, 'w' },
	{ "threads", required_argument, NULL, 't' },
	/* One thread allocates, another frees. */
	{ "crossing", no_argument, NULL, 'x' },
	/* Instead of blocks. */
	{ "tensors", no_argument, NULL, 'H' },
	/* Time for so long; without it, check and measure memory. */
	{ "ms", required_argument, NULL, 'm' },
	{ "write", required_argument, NULL, 'W' },
	{ "budget", required_argument, NULL, 'b' },
	{ "model", required_argument, NULL, 'M' },
	{ "seed", required_argument, NULL, 's' },
	{ "tiny", no_argument, NULL, 'T' },
	/* For callgrind: the workload's pass, or pairs of one size. */
	{ "count", no_argument, NULL, 'c' },
	{ "size", required_argument, NULL, 'S' },
	{ "live", required_argument, NULL, 'l' },
	{ "pairs", required_argument, NULL, 'p' },
	{ 0 },
};

static uint64_t number(const char *text)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9')
		errx(2, "not a number: %s", text);
	return value;
}

static uint64_t *number_of(struct arguments *args, int option)
{
	switch (option) {
	case 't':
		return &args->threads;
	case 'm':
		return &args->ms;
	case 'b':
		return &args->budget;
	case 'M':
		return &args->model;
	case 's':
		return &args->seed;
	case 'S':
		return &args->size;
	case 'l':
		return &args->live;
	case 'p':
		return &args->pairs;
	default:
		exit(2);
	}
}

static void parse(struct arguments *args, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'a')
			args->allocator = optarg;
		else if (option == 'w')
			args->workload = optarg;
		else if (option == 'W')
			args->writing = optarg;
		else if (option == 'x')
			args->crossing = true;
		else if (option == 'c')
			args->count = true;
		else if (option == 'T')
			args->tiny = true;
		else if (option == 'H')
			args->tensors = true;
		else
			*number_of(args, option) = number(optarg);
	}
	if (optind < argc || !args->allocator || (!args->workload && !args->size))
		errx(2, "needs --allocator, and --workload or --size; takes nothing else");
	if (!args->threads || args->threads > CREW_MAX)
		errx(2, "--threads: 1 to %d", CREW_MAX);
}

static enum writing writing_of(const char *name)
{
	static const char *const names[] = {
		[WRITE_NOTHING] = "nothing",
		[WRITE_PAGES] = "pages",
		[WRITE_ZEROS] = "zeros",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(names[i], name))
			return (enum writing)i;
	}
	errx(2, "--write: nothing, pages or zeros");
}

static void run(struct job *job, const struct arguments *args)
{
	if (args->size)
		measured_loop(job, args->size, args->live, args->pairs);
	else if (args->count)
		measured_pass(job);
	else if (args->crossing)
		crossing_run(job);
	else
		crew_run(job);
}

int main(int argc, char **argv)
{
	struct arguments args = {
		.writing = "nothing",
		.threads = 1,
		.budget = 256 * MIB,
		.model = 256 * MIB,
		.seed = 1,
		.pairs = 100000,
	};
	struct allocator allocator;
	struct job job = { .allocator = &allocator };

	parse(&args, argc, argv);
	job.threads = (unsigned int)args.threads;
	job.writing = writing_of(args.writing);
	job.ms = args.ms;
	job.scale = (struct scale){ args.budget, args.model, args.tiny,
				    args.count ? COUNT_SHORTER : 1, args.seed };
	if (args.workload) {
		job.workload = workload_find(args.workload);
		if (!job.workload)
			errx(2, "--workload: no such workload: %s", args.workload);
	}
	allocator_find(&allocator, args.allocator);
	if (args.tensors)
		allocator_use_tensors(&allocator);
	job.histogram = histogram_new();
	job.overhead = clock_overhead();
	run(&job, &args);
	if (job.check.bad)
		warnx("%s: of %llu blocks %llu were damaged or not aligned", args.allocator,
		      (unsigned long long)job.check.blocks, (unsigned long long)job.check.bad);
	return report_print(&job, allocator_zeroes(&allocator)) || job.check.bad ? 1 : 0;
}
