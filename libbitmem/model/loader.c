/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files into segments. A segment begins with the file's byte at or below the
 * start of the data that is a multiple of the file's block, so that addresses and
 * file offsets agree modulo the block and O_DIRECT can fill it in place. The last
 * read may ask for more than the file has, up to a whole block.
 *
 * A file that turns out to refuse O_DIRECT is read on without; a file that is not
 * what it was when its header was read is an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader.h"

#define DEFAULT_DEPTH  32
#define DEFAULT_WINDOW (1u << 20)
#define WINDOW_STEP    4096
#define FILES_AT_ONCE  4
#define MAX_IDLE       1000 /* tries in a row that may bring nothing */

static uint64_t round_up(uint64_t n, uint64_t step)
{
	return (n + step - 1) / step * step;
}

/* Opens the file again and makes sure that it is the one whose header was read. */
static int open_source(struct bm_loader *loader, struct bm_source *source)
{
	const struct bm_file *file = source->file;
	struct bm_file now = {.path = file->path};
	int fd = bm_file_open(&now, loader->error), err;

	if (fd < 0)
		return fd;
	err = bm_file_same(file, &now, loader->error);
	if (err) {
		close(fd);
		return err;
	}
	source->fd = fd;
	source->direct = file->direct && !fcntl(fd, F_SETFL, O_DIRECT);
	if (!source->direct)
		loader->buffered = true;
	return 0;
}

static int make_buffered(struct bm_loader *loader, struct bm_source *source)
{
	loader->buffered = true;
	if (!source->direct)
		return 0;
	source->direct = false;
	if (!fcntl(source->fd, F_SETFL, 0))
		return 0;
	return bm_report(loader->error, -errno, source->file->path, "open: %s", strerror(errno));
}

/* Takes turns among the first few files that have windows left. */
static struct bm_source *pick(struct bm_loader *loader)
{
	while (loader->head < loader->n_sources &&
	       loader->sources[loader->head].next >= loader->sources[loader->head].need)
		loader->head++;
	for (size_t i = 0; i < FILES_AT_ONCE; i++) {
		size_t slot = (loader->turn + i) % FILES_AT_ONCE;
		struct bm_source *source = &loader->sources[loader->head + slot];

		if (loader->head + slot < loader->n_sources && source->next < source->need) {
			loader->turn = slot + 1;
			return source;
		}
	}
	return NULL;
}

int bm_loader_next(struct bm_loader *loader, struct bm_window *window)
{
	struct bm_source *source = pick(loader);
	uint64_t rest;

	if (!source)
		return 0;
	if (source->fd < 0) {
		int err = open_source(loader, source);

		if (err)
			return err;
	}
	rest = source->need - source->next;
	*window = (struct bm_window){
		.source = source,
		.pos = source->next,
		.need = rest < source->window ? rest : source->window,
	};
	source->next += window->need;
	source->in_flight++;
	return 1;
}

void *bm_window_to(const struct bm_window *window)
{
	char *segment = bm_segment_addr(window->source->file->segment);

	return segment + window->pos + window->got;
}

uint64_t bm_window_from(const struct bm_window *window)
{
	return window->source->file->base + window->pos + window->got;
}

unsigned int bm_window_length(struct bm_window *window)
{
	uint64_t rest = window->need - window->got;

	window->direct = window->source->direct;
	return (unsigned int)(window->direct ? round_up(rest, window->source->file->block) : rest);
}

/*
 * A window has all its bytes: counts those of the data section. With the last one,
 * the file must still be what it was before the first.
 */
static int finish(struct bm_loader *loader, const struct bm_window *window)
{
	struct bm_source *source = window->source;
	uint64_t lead = source->file->data_start - source->file->base;
	uint64_t begin = window->pos < lead ? lead : window->pos;
	uint64_t end = window->pos + window->need;
	int err;

	if (end > begin)
		loader->progress.done += end - begin;
	source->in_flight--;
	if (source->next < source->need || source->in_flight)
		return 0;
	err = bm_file_unchanged(source->file, source->fd, loader->error);
	close(source->fd);
	source->fd = -1;
	loader->progress.files_done++;
	return err;
}

static int read_failed(struct bm_loader *loader, struct bm_window *window, int err)
{
	const struct bm_file *file = window->source->file;

	if (window->direct && (err == EINVAL || err == EOPNOTSUPP)) {
		int ret = make_buffered(loader, window->source);

		return ret ? ret : 1;
	}
	if ((err == EINTR || err == EAGAIN) && ++window->idle < MAX_IDLE)
		return 1;
	return bm_report(loader->error, -err, file->path, "read: %s at byte %" PRIu64,
			 strerror(err), bm_window_from(window));
}

int bm_window_done(struct bm_loader *loader, struct bm_window *window, int res)
{
	const struct bm_file *file = window->source->file;

	if (res < 0)
		return read_failed(loader, window, -res);
	if (!res)
		return bm_report(loader->error, -EBADMSG, file->path,
				 "size: shrank from %" PRIu64 " to %" PRIu64
				 " bytes while being read", file->size, bm_window_from(window));
	window->idle = 0;
	window->got += (unsigned int)res;
	if (window->got >= window->need)
		return finish(loader, window);
	/* A short read that ends inside a block cannot be gone on with directly. */
	if (window->got % file->block && window->direct) {
		int err = make_buffered(loader, window->source);

		if (err)
			return err;
	}
	return 1;
}

int bm_loader_tell(struct bm_loader *loader)
{
	const struct bitmem_progress *progress = &loader->progress;

	/* The last call is the model's to make, when all is ready. */
	if (!loader->options->progress || progress->done == progress->total)
		return 0;
	if (!loader->options->progress(progress, loader->options->progress_arg))
		return 0;
	return bm_report(loader->error, -ECANCELED, loader->sources[0].file->path,
			 "load: cancelled after %" PRIu64 " of %" PRIu64 " bytes", progress->done,
			 progress->total);
}

/* What is wanted for the data of a file. */
static int want_segment(struct bm_file *file, struct bm_wanted *wanted, struct bitmem_error *error)
{
	uint64_t mask = file->block - 1;

	file->base = file->data_start & ~mask;
	file->length = round_up(file->data_end - file->base, file->block);
	if (file->length > SIZE_MAX / 2)
		return bm_report(error, -ENOMEM, file->path, "data section: %" PRIu64
				 " bytes cannot be mapped", file->length);
	wanted->length = file->length ? (size_t)file->length : 1;
	strncpy(wanted->tag, bm_path_name(file->path), sizeof(wanted->tag) - 1);
	return 0;
}

/* Segments for the files' data, all at once. @of says which file each is for. */
static int make_segments(struct bitmem *ctx, struct bm_set *set, struct bm_wanted *wanted,
			 struct bm_file **of, size_t n)
{
	size_t failed = 0;
	int err = bm_segments_new(ctx, wanted, n, &failed);

	if (err)
		return bm_report(set->error, err, of[failed]->path,
				 "data section: no memory for %" PRIu64 " bytes: %s",
				 of[failed]->length, strerror(-err));
	for (size_t i = 0; i < n; i++)
		of[i]->segment = wanted[i].segment;
	return 0;
}

/* A file without tensors needs no segment. */
static int take_segments(struct bitmem *ctx, struct bm_set *set)
{
	struct bm_wanted *wanted = calloc(set->n_files, sizeof(*wanted));
	struct bm_file **of = calloc(set->n_files, sizeof(*of));
	size_t n = 0;
	int err = 0;

	if (!wanted || !of)
		err = bm_report_nomem(set->error, set->files[0]->path);
	for (size_t i = 0; !err && i < set->n_files; i++) {
		if (!set->files[i]->n_infos)
			continue;
		of[n] = set->files[i];
		err = want_segment(of[n], &wanted[n], set->error);
		n++;
	}
	if (!err && n)
		err = make_segments(ctx, set, wanted, of, n);
	free(wanted);
	free(of);
	return err;
}

static int prepare(struct bm_loader *loader, struct bm_set *set)
{
	size_t window = loader->options->window ? loader->options->window : DEFAULT_WINDOW;

	loader->sources = calloc(set->n_files + FILES_AT_ONCE, sizeof(*loader->sources));
	if (!loader->sources)
		return bm_report_nomem(loader->error, set->files[0]->path);
	loader->n_sources = set->n_files;
	loader->progress.files = (unsigned int)set->n_files;
	for (size_t i = 0; i < set->n_files; i++) {
		struct bm_source *source = &loader->sources[i];
		struct bm_file *file = set->files[i];
		uint64_t bytes = file->data_end - file->data_start;

		source->file = file;
		source->fd = -1;
		source->window = round_up(round_up(window, WINDOW_STEP), file->block);
		loader->progress.total += bytes;
		if (bytes)
			source->need = file->data_end - (file->data_start & ~(uint64_t)
							 (file->block - 1));
		else
			loader->progress.files_done++;
	}
	return 0;
}

static void close_sources(struct bm_loader *loader)
{
	for (size_t i = 0; i < loader->n_sources; i++)
		if (loader->sources[i].fd >= 0)
			close(loader->sources[i].fd);
	free(loader->sources);
}

/* Nothing is read of a model without data: the way is the one that it would take. */
static void note_way(struct bm_loader *loader)
{
	for (size_t i = 0; !loader->progress.total && i < loader->n_sources; i++)
		loader->buffered |= !loader->sources[i].file->direct;
}

static int run(struct bm_loader *loader, struct bm_load_result *result)
{
	int err = bm_engine_ring(loader);

	note_way(loader);
	if (err <= 0) {
		result->io = loader->buffered		       ? "io_uring+buffered" :
			     loader->plain || !loader->fixed ? "io_uring+direct" :
							       "io_uring+direct+fixed";
		return err;
	}
	err = bm_engine_pread(loader);
	result->io = loader->buffered ? "pread+buffered" : "pread+direct";
	return err;
}

int bm_load(struct bitmem *ctx, struct bm_set *set, const struct bitmem_model_options *options,
	    struct bm_load_result *result)
{
	struct bm_loader loader = {.error = set->error, .options = options};
	int err = prepare(&loader, set);

	loader.depth = options->queue_depth ? options->queue_depth : DEFAULT_DEPTH;
	if (!err)
		err = bm_loader_tell(&loader);
	if (!err)
		err = take_segments(ctx, set);
	if (!err)
		err = run(&loader, result);
	result->bytes_read = loader.progress.done;
	close_sources(&loader);
	return err;
}
