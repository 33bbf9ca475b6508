// SPDX-License-Identifier: GPL-2.0
#include "settings.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: bench-alloc [OPTION...]\n"
	"  --seconds S        of timed slices in all, about (180)\n"
	"  --rounds N         so often each case meets each allocator (5)\n"
	"  --workload LIST    of W1 W1w W2 W3 W4 W5 X1 X2 T, with commas between (all)\n"
	"  --threads LIST     of 1 2 (both); X1 and X2 are 2, T is 1\n"
	"  --allocator LIST   of bitmem-counters bitmem-sites bitmem-full tcmalloc mimalloc\n"
	"                     jemalloc glibc null (all)\n"
	"  --write WHAT       nothing, pages or zeros, instead of what the cases say\n"
	"  --budget MIB       what W3 and W5 fill (256)\n"
	"  --model MIB        each model of W4 (256)\n"
	"  --seed N           of the workloads (1)\n"
	"  --only WHAT        time, space or instructions\n"
	"  --no-instructions  without them\n"
	"  --tiny             small workloads, for tests of the benchmark itself\n"
	"  --json FILE        the results as JSON too\n"
	"BITMEM_BACKEND=memfd|device chooses what bitmem runs on.\n";

static const struct option options[] = {
	{ "seconds", required_argument, NULL, 's' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "workload", required_argument, NULL, 'w' },
	{ "threads", required_argument, NULL, 't' },
	{ "allocator", required_argument, NULL, 'a' },
	{ "write", required_argument, NULL, 'W' },
	{ "budget", required_argument, NULL, 'b' },
	{ "model", required_argument, NULL, 'm' },
	{ "seed", required_argument, NULL, 'S' },
	{ "only", required_argument, NULL, 'o' },
	{ "no-instructions", no_argument, NULL, 'n' },
	{ "tiny", no_argument, NULL, 'T' },
	{ "json", required_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static uint64_t number(const char *option, const char *text, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || !value || value > max)
		errx(2, "--%s: not a number from 1 to %llu: %s", option, (unsigned long long)max,
		     text);
	return value;
}

/* Keeps of the cases those of a workload, or with so many threads, that the list names. */
static void choose_cases(struct settings *settings, const char *option, char *list, bool by_threads)
{
	bool named[PLAN_CASES] = { false };
	char threads[16];
	char *word;
	size_t i;
	bool any;

	for (word = strtok(list, ","); word; word = strtok(NULL, ",")) {
		any = false;
		for (i = 0; i < PLAN_CASES; i++) {
			snprintf(threads, sizeof(threads), "%u", plan_cases[i].threads);
			if (strcmp(word, by_threads ? threads : plan_cases[i].name))
				continue;
			named[i] = any = true;
		}
		if (!any)
			errx(2, "--%s: there is no %s", option, word);
	}
	for (i = 0; i < PLAN_CASES; i++)
		settings->cases[i] &= named[i];
}

static void choose_subjects(struct settings *settings, char *list)
{
	char *word;
	int index;

	memset(settings->subjects, 0, sizeof(settings->subjects));
	for (word = strtok(list, ","); word; word = strtok(NULL, ",")) {
		index = subject_find(word);
		if (index < 0)
			errx(2, "--allocator: there is no %s", word);
		settings->subjects[index] = true;
	}
}

static void choose_parts(struct settings *settings, const char *part)
{
	settings->time = !strcmp(part, "time");
	settings->space = !strcmp(part, "space");
	settings->instructions = !strcmp(part, "instructions");
	if (!settings->time && !settings->space && !settings->instructions)
		errx(2, "--only: time, space or instructions");
}

static void choose_writing(struct settings *settings, const char *writing)
{
	if (strcmp(writing, "nothing") && strcmp(writing, "pages") && strcmp(writing, "zeros"))
		errx(2, "--write: nothing, pages or zeros");
	settings->writing = writing;
}

static void take_number(struct settings *settings, int option)
{
	switch (option) {
	case 's':
		settings->seconds = (double)number("seconds", optarg, 1000000);
		break;
	case 'r':
		settings->rounds = (unsigned int)number("rounds", optarg, 1000);
		break;
	case 'b':
		settings->budget_mib = number("budget", optarg, 1 << 20);
		break;
	case 'm':
		settings->model_mib = number("model", optarg, 1 << 20);
		break;
	case 'S':
		settings->seed = number("seed", optarg, INT32_MAX);
		break;
	default:
		exit(2);
	}
}

static void take(struct settings *settings, int option)
{
	switch (option) {
	case 'w':
		choose_cases(settings, "workload", optarg, false);
		break;
	case 't':
		choose_cases(settings, "threads", optarg, true);
		break;
	case 'a':
		choose_subjects(settings, optarg);
		break;
	case 'W':
		choose_writing(settings, optarg);
		break;
	case 'o':
		choose_parts(settings, optarg);
		break;
	case 'n':
		settings->instructions = false;
		break;
	case 'T':
		settings->tiny = true;
		settings->budget_mib = settings->model_mib = 8;
		break;
	case 'j':
		settings->json = optarg;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		take_number(settings, option);
	}
}

void settings_parse(struct settings *settings, int argc, char **argv)
{
	int option;

	*settings = (struct settings){
		.seconds = 180,
		.rounds = 5,
		.budget_mib = 256,
		.model_mib = 256,
		.seed = 1,
		.time = true,
		.space = true,
		.instructions = true,
	};
	memset(settings->cases, true, sizeof(settings->cases));
	memset(settings->subjects, true, sizeof(settings->subjects));
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		take(settings, option);
	if (optind < argc)
		errx(2, "%s: not an option", argv[optind]);
}
