// SPDX-License-Identifier: GPL-2.0
/*
 * What is made of traces, for random ones: lives ROUNDS
 *
 * A model that is told of each event keeps what each file has; columns must have had no more
 * than it says, and all peaks; what a file had most must be what it says; and no two buffers of
 * a row may live at once. Prints what is wrong; fails if anything was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/timeline.h"

#define OFFSETS 64
#define FILES	20
#define EVENTS	400

struct model {
	/* Of each offset: the file, or 0, and bytes. */
	uint64_t file[OFFSETS];
	uint64_t bytes[OFFSETS];
	uint64_t has[FILES + 1];
	uint64_t most[FILES + 1];
	uint64_t total;
	uint64_t peak;
};

static void change(struct model *model, uint64_t file, int64_t bytes)
{
	model->has[file] += (uint64_t)bytes;
	model->total += (uint64_t)bytes;
	if (model->most[file] < model->has[file])
		model->most[file] = model->has[file];
	if (model->peak < model->total)
		model->peak = model->total;
}

static struct trace_event some_event(struct model *model, uint64_t ns)
{
	unsigned int at = (unsigned int)rand() % OFFSETS;
	struct trace_event event = {.ns = ns, .offset = at};

	if (!model->file[at]) {
		event.kind = rand() % 8 ? TRACE_ALLOC : TRACE_HELD;
		event.file = 1 + (uint64_t)rand() % FILES;
		event.bytes = 4096 * (1 + rand() % 1000);
		model->file[at] = event.file;
		model->bytes[at] = (uint64_t)event.bytes;
		change(model, event.file, event.bytes);
	} else if (rand() % 4) {
		event.kind = TRACE_FREE;
		event.bytes = (int64_t)model->bytes[at];
		change(model, model->file[at], -event.bytes);
		model->file[at] = 0;
	} else {
		event.kind = TRACE_COMMIT;
		event.bytes = -(int64_t)model->bytes[at] / (1 + rand() % 3);
		change(model, model->file[at], event.bytes);
		model->bytes[at] += (uint64_t)event.bytes;
	}
	return event;
}

static int wrong(const char *what, uint64_t is, uint64_t should)
{
	printf("%s: is %llu, should be %llu\n", what, (unsigned long long)is,
	       (unsigned long long)should);
	return 1;
}

static int check_columns(const struct timeline *timeline, const struct model *model)
{
	const struct timeline_column *last = &timeline->columns[TIMELINE_COLUMNS - 1];
	uint64_t peak = 0;
	int bad = 0;

	for (size_t i = 0; i < TIMELINE_COLUMNS; i++) {
		uint64_t sum = 0;

		for (size_t kind = 0; kind < TIMELINE_KINDS; kind++)
			sum += timeline->columns[i].bytes[kind];
		if (sum != timeline->columns[i].total)
			bad += wrong("a column's sum", sum, timeline->columns[i].total);
		if (peak < sum)
			peak = sum;
	}
	if (peak != model->peak || timeline->peak != model->peak)
		bad += wrong("the peak", peak, model->peak);
	if (last->total < model->total)
		bad += wrong("the last column", last->total, model->total);
	return bad;
}

static int check_files(const struct timeline *timeline, const struct model *model)
{
	unsigned int of_kind[TIMELINE_KINDS] = {0};
	int bad = 0;

	for (uint64_t file = 1; file <= FILES; file++) {
		const struct timeline_file *found = timeline_file(timeline, file);

		if (!found && model->most[file])
			bad += wrong("a file's most", 0, model->most[file]);
		if (found && found->peak != model->most[file])
			bad += wrong("a file's most", found->peak, model->most[file]);
		if (found)
			of_kind[found->kind]++;
	}
	for (size_t kind = 0; kind < TIMELINE_OTHERS; kind++) {
		if (of_kind[kind] > 1)
			bad += wrong("files of a colour", of_kind[kind], 1);
	}
	return bad;
}

static int check_lanes(const struct timeline *timeline)
{
	size_t without = 0;
	int bad = 0;

	for (size_t i = 0; i < timeline->n_buffers; i++) {
		const struct timeline_buffer *a = &timeline->buffers[i];

		without += a->lane == TIMELINE_NO_LANE;
		for (size_t j = 0; a->lane != TIMELINE_NO_LANE && j < i; j++) {
			const struct timeline_buffer *b = &timeline->buffers[j];

			if (a->lane == b->lane && a->born < b->died && b->born < a->died)
				bad += wrong("buffers of a row at once", 2, 1);
		}
	}
	if (without != timeline->no_lane)
		bad += wrong("buffers without a row", timeline->no_lane, without);
	return bad;
}

static int round_of(size_t n)
{
	struct timeline *timeline = calloc(1, sizeof(*timeline));
	struct model model = {0};
	uint64_t ns = 0;
	int bad = 0;

	if (!timeline)
		return wrong("memory", 0, 1);
	for (size_t i = 0; i < n; i++) {
		struct trace_event event = some_event(&model, ns);

		if (timeline_add(timeline, &event))
			bad += wrong("memory", 0, 1);
		ns += (uint64_t)(rand() % 3 ? rand() % 1000 : rand());
	}
	timeline->ns = ns;
	if (timeline_build(timeline))
		bad += wrong("memory", 0, 1);
	bad += check_columns(timeline, &model) + check_files(timeline, &model) +
	       check_lanes(timeline);
	timeline_free(timeline);
	free(timeline);
	return bad;
}

int main(int argc, char **argv)
{
	int rounds = argc == 2 ? atoi(argv[1]) : 0;
	int bad = 0;

	if (rounds < 1) {
		fputs("usage: lives ROUNDS\n", stderr);
		return 2;
	}
	for (int i = 0; i < rounds && bad < 10; i++)
		bad += round_of(i ? (size_t)(rand() % EVENTS) : 0);
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
