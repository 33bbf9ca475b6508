// SPDX-License-Identifier: GPL-2.0
/*
 * Events are gone through twice: first to learn of files and buffers, then, when it is known
 * which files had most, to add up what these had from column to column.
 */
#include "timeline.h"

#include <stdlib.h>
#include <string.h>

/* Buffers that live, by offset: no two have the same. */
struct live {
	size_t *list;
	size_t n;
	size_t room;
};

/* Returns @list, or where it is now, with room for one more than the @n it has; else NULL. */
static void *grow(void *list, size_t n, size_t *room, size_t size)
{
	size_t larger = *room ? 2 * *room : 256;
	void *grown;

	if (n < *room)
		return list;
	grown = reallocarray(list, larger, size);
	if (grown)
		*room = larger;
	return grown;
}

int timeline_add(struct timeline *timeline, const struct trace_event *event)
{
	struct trace_event *events =
		grow(timeline->events, timeline->n_events, &timeline->room, sizeof(*events));

	if (!events)
		return -1;
	timeline->events = events;
	events[timeline->n_events++] = *event;
	return 0;
}

/* --- files --- */

static size_t place_of_file(const struct timeline *timeline, uint64_t file)
{
	size_t low = 0, high = timeline->n_files;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (timeline->files[middle].file < file)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct timeline_file *timeline_file(const struct timeline *timeline, uint64_t file)
{
	size_t i = place_of_file(timeline, file);

	return i < timeline->n_files && timeline->files[i].file == file ? &timeline->files[i]
									: NULL;
}

static struct timeline_file *find_file(struct timeline *timeline, const struct trace_event *event)
{
	struct timeline_file *file = timeline_file(timeline, event->file);
	struct timeline_file *files;
	size_t i;

	if (file)
		return file;
	files = reallocarray(timeline->files, timeline->n_files + 1, sizeof(*files));
	if (!files)
		return NULL;
	timeline->files = files;
	i = place_of_file(timeline, event->file);
	memmove(&files[i + 1], &files[i], (timeline->n_files++ - i) * sizeof(*files));
	files[i] = (struct timeline_file){.file = event->file, .pid = event->pid};
	memcpy(files[i].comm, event->comm, sizeof(files[i].comm));
	return &files[i];
}

static int compare_peaks(const void *a, const void *b)
{
	const struct timeline_file *first = *(struct timeline_file *const *)a;
	const struct timeline_file *second = *(struct timeline_file *const *)b;

	if (first->peak != second->peak)
		return first->peak < second->peak ? 1 : -1;
	return (first->file > second->file) - (first->file < second->file);
}

/* Those with most are told apart. */
static int choose_files(struct timeline *timeline)
{
	struct timeline_file **order =
		calloc(timeline->n_files + 1, sizeof(struct timeline_file *));

	if (!order)
		return -1;
	for (size_t i = 0; i < timeline->n_files; i++) {
		order[i] = &timeline->files[i];
		order[i]->bytes = 0;
	}
	qsort(order, timeline->n_files, sizeof(struct timeline_file *), compare_peaks);
	for (size_t i = 0; i < timeline->n_files; i++)
		order[i]->kind = i < TIMELINE_FILES ? (unsigned int)i : TIMELINE_OTHERS;
	free(order);
	return 0;
}

/* --- buffers --- */

static size_t place_of_live(const struct timeline *timeline, const struct live *live,
			    uint64_t offset)
{
	size_t low = 0, high = live->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (timeline->buffers[live->list[middle]].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct timeline_buffer *find_live(const struct timeline *timeline, const struct live *live,
					 uint64_t offset)
{
	size_t i = place_of_live(timeline, live, offset);

	if (i == live->n || timeline->buffers[live->list[i]].offset != offset)
		return NULL;
	return &timeline->buffers[live->list[i]];
}

static int reserve_buffer(struct timeline *timeline, struct live *live)
{
	struct timeline_buffer *buffers = grow(timeline->buffers, timeline->n_buffers,
					       &timeline->room_buffers, sizeof(*buffers));
	size_t *list;

	if (!buffers)
		return -1;
	timeline->buffers = buffers;
	list = grow(live->list, live->n, &live->room, sizeof(*list));
	if (!list)
		return -1;
	live->list = list;
	return 0;
}

static int add_buffer(struct timeline *timeline, struct live *live, const struct trace_event *event)
{
	struct timeline_buffer *buffer;
	size_t i;

	if (reserve_buffer(timeline, live))
		return -1;
	i = place_of_live(timeline, live, event->offset);
	memmove(&live->list[i + 1], &live->list[i], (live->n++ - i) * sizeof(*live->list));
	live->list[i] = timeline->n_buffers;
	buffer = &timeline->buffers[timeline->n_buffers++];
	*buffer = (struct timeline_buffer){
		.file = event->file,
		.offset = event->offset,
		.bytes = (uint64_t)event->bytes,
		.born = event->ns,
		.died = UINT64_MAX,
		.lane = TIMELINE_NO_LANE,
	};
	memcpy(buffer->tag, event->tag, sizeof(buffer->tag));
	return 0;
}

static void remove_live(const struct timeline *timeline, struct live *live, uint64_t offset)
{
	size_t i = place_of_live(timeline, live, offset);

	memmove(&live->list[i], &live->list[i + 1], (--live->n - i) * sizeof(*live->list));
}

static void change_file(struct timeline *timeline, uint64_t number, int64_t bytes)
{
	struct timeline_file *file = timeline_file(timeline, number);

	file->bytes += (uint64_t)bytes;
	if (file->peak < file->bytes)
		file->peak = file->bytes;
}

/*
 * Takes an event into account. 0 with what changed in @change and whose it is in @file, or -1
 * with errno. Of buffers that were there before nobody may have told.
 */
static int follow(struct timeline *timeline, struct live *live, const struct trace_event *event,
		  uint64_t *file, int64_t *change)
{
	struct timeline_buffer *buffer = find_live(timeline, live, event->offset);

	*change = 0;
	switch (event->kind) {
	case TRACE_HELD:
	case TRACE_ALLOC:
		/* It was allocated while the ones that were there were listed. */
		if (buffer)
			return 0;
		*file = event->file;
		*change = event->bytes;
		return add_buffer(timeline, live, event);
	case TRACE_COMMIT:
		if (!buffer)
			return 0;
		*change = event->bytes;
		if (*change < 0 && buffer->bytes < (uint64_t) - *change)
			*change = -(int64_t)buffer->bytes;
		buffer->bytes += (uint64_t)*change;
		*file = buffer->file;
		return 0;
	case TRACE_FREE:
		if (!buffer)
			return 0;
		*change = -(int64_t)buffer->bytes;
		*file = buffer->file;
		buffer->died = event->ns;
		remove_live(timeline, live, event->offset);
		return 0;
	default:
		return 0;
	}
}

static int meet_all(struct timeline *timeline)
{
	struct live live = {0};
	uint64_t file;
	int64_t change;
	int err = 0;

	for (size_t i = 0; !err && i < timeline->n_events; i++) {
		const struct trace_event *event = &timeline->events[i];

		timeline->counts[event->kind]++;
		if ((event->kind == TRACE_ALLOC || event->kind == TRACE_HELD) &&
		    !find_file(timeline, event))
			err = -1;
		if (!err)
			err = follow(timeline, &live, event, &file, &change);
		if (!err && change)
			change_file(timeline, file, change);
	}
	free(live.list);
	return err;
}

/* --- columns --- */

static void keep_highest(struct timeline_column *column, const struct timeline_column *now)
{
	if (now->total >= column->total)
		*column = *now;
}

static size_t column_of(const struct timeline *timeline, uint64_t ns)
{
	size_t column = (size_t)((double)ns / (double)timeline->ns * TIMELINE_COLUMNS);

	return column < TIMELINE_COLUMNS ? column : TIMELINE_COLUMNS - 1;
}

static int add_columns(struct timeline *timeline)
{
	struct timeline_column now = {0};
	struct live live = {0};
	size_t at = 0;
	uint64_t file;
	int64_t change;
	int err = 0;

	timeline->n_buffers = 0;
	for (size_t i = 0; !err && i < timeline->n_events; i++) {
		size_t column = column_of(timeline, timeline->events[i].ns);

		/* A column begins with what the one before it ended with. */
		while (at < column)
			keep_highest(&timeline->columns[++at], &now);
		err = follow(timeline, &live, &timeline->events[i], &file, &change);
		if (err || !change)
			continue;
		now.total += (uint64_t)change;
		now.bytes[timeline_file(timeline, file)->kind] += (uint64_t)change;
		keep_highest(&timeline->columns[at], &now);
		if (timeline->peak < now.total)
			timeline->peak = now.total;
	}
	while (at + 1 < TIMELINE_COLUMNS)
		keep_highest(&timeline->columns[++at], &now);
	free(live.list);
	return err;
}

/* Each buffer is in the first row that is free when it is born. */
static void give_lanes(struct timeline *timeline)
{
	uint64_t free_from[TIMELINE_LANES] = {0};

	for (size_t i = 0; i < timeline->n_buffers; i++) {
		struct timeline_buffer *buffer = &timeline->buffers[i];
		uint32_t lane = 0;

		while (lane < TIMELINE_LANES && free_from[lane] > buffer->born)
			lane++;
		if (lane == TIMELINE_LANES) {
			timeline->no_lane++;
			continue;
		}
		buffer->lane = lane;
		free_from[lane] = buffer->died;
		if (timeline->lanes <= lane)
			timeline->lanes = lane + 1;
	}
}

int timeline_build(struct timeline *timeline)
{
	if (!timeline->ns)
		timeline->ns = 1;
	if (meet_all(timeline) || choose_files(timeline) || add_columns(timeline))
		return -1;
	give_lanes(timeline);
	return 0;
}

void timeline_free(struct timeline *timeline)
{
	free(timeline->events);
	free(timeline->files);
	free(timeline->buffers);
	*timeline = (struct timeline){0};
}
