/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the windows through one io_uring, as many at once as the queue is deep.
 *
 * Segments are registered as fixed buffers, a chunk at a time when its first
 * window comes up, as long as the kernel takes them: 6.1 does not take mappings
 * of a device, and RLIMIT_MEMLOCK may forbid it. Reads go on without, then.
 *
 * Invariant: when bm_engine_ring() returns, no read is in flight and no page is
 * pinned any more, however it ends: the segments may be given back at once.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loader.h"

#define CHUNK_BYTES (256u << 20) /* at most; the kernel's limit is 1 GiB */
#define MAX_CHUNKS  16384	 /* the kernel's limit */
#define MAX_REFUSED 1000	 /* submissions in a row that may be put off, a millisecond each */

struct engine {
	struct bm_loader *loader;
	struct io_uring ring;
	struct bm_window *windows, *free;
	unsigned int in_flight; /* windows that were given to the ring, submitted or not */
	unsigned int refused;	/* submissions in a row that the kernel put off */
	bool fixed;		/* the ring has a table of fixed buffers */
	bool *registered;	/* for each of its chunks */
	size_t n_chunks;
};

static uint64_t chunk_bytes(const struct bm_source *source)
{
	return CHUNK_BYTES / source->window * source->window;
}

static size_t chunks_of(const struct bm_source *source)
{
	uint64_t chunk = chunk_bytes(source);

	return (size_t)((source->file->length + chunk - 1) / chunk);
}

/* Makes an empty table with room for all chunks of all files that are read directly. */
static void make_table(struct engine *engine)
{
	struct bm_loader *loader = engine->loader;
	size_t n = 0;

	for (size_t i = 0; i < loader->n_sources; i++) {
		struct bm_source *source = &loader->sources[i];

		source->first_chunk = n;
		if (source->need && source->file->direct)
			n += chunks_of(source);
	}
	if (!n || n > MAX_CHUNKS)
		return;
	engine->registered = calloc(n, sizeof(*engine->registered));
	if (!engine->registered)
		return;
	engine->n_chunks = n;
	engine->fixed = !io_uring_register_buffers_sparse(&engine->ring, (unsigned int)n);
}

/* Registers a chunk unless it is. False if the kernel will not have it. */
static bool register_chunk(struct engine *engine, const struct bm_source *source, size_t chunk)
{
	uint64_t start = (chunk - source->first_chunk) * chunk_bytes(source);
	uint64_t rest = source->file->length - start;
	struct iovec iov = {
		.iov_base = (char *)bm_segment_addr(source->file->segment) + start,
		.iov_len = (size_t)(rest < chunk_bytes(source) ? rest : chunk_bytes(source)),
	};
	__u64 tag = 0;

	if (!engine->registered[chunk])
		engine->registered[chunk] = io_uring_register_buffers_update_tag(
			&engine->ring, (unsigned int)chunk, &iov, &tag, 1) == 1;
	return engine->registered[chunk];
}

static int queue(struct engine *engine, struct bm_window *window)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);
	struct bm_source *source = window->source;
	unsigned int length = bm_window_length(window);
	size_t chunk = source->first_chunk + (size_t)(window->pos / chunk_bytes(source));
	bool fixed;

	if (!sqe)
		return bm_report(engine->loader->error, -EBUSY, source->file->path,
				 "io_uring: no room in the queue for %u reads",
				 engine->in_flight + 1);
	if (engine->fixed && window->direct)
		engine->fixed = register_chunk(engine, source, chunk);
	fixed = engine->fixed && window->direct;
	if (fixed)
		io_uring_prep_read_fixed(sqe, source->fd, bm_window_to(window), length,
					 bm_window_from(window), (int)chunk);
	else
		io_uring_prep_read(sqe, source->fd, bm_window_to(window), length,
				   bm_window_from(window));
	engine->loader->fixed |= fixed;
	engine->loader->plain |= !fixed;
	io_uring_sqe_set_data(sqe, window);
	engine->in_flight++;
	return 0;
}

/* Gives the ring as many windows as it may have. */
static int fill(struct engine *engine)
{
	while (engine->free) {
		struct bm_window *window = engine->free, *rest = window->next_free;
		int ret = bm_loader_next(engine->loader, window);

		if (ret <= 0) {
			window->next_free = rest;
			return ret;
		}
		engine->free = rest;
		ret = queue(engine, window);
		if (ret)
			return ret;
	}
	return 0;
}

static void nap(void)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	nanosleep(&ms, NULL);
}

/* Submits what is queued and waits for a read to end. */
static int submit(struct engine *engine)
{
	int ret = io_uring_submit_and_wait(&engine->ring, 1);

	if (ret >= 0)
		engine->refused = 0;
	if (ret >= 0 || ret == -EINTR)
		return 0;
	if ((ret == -EAGAIN || ret == -EBUSY) && ++engine->refused < MAX_REFUSED) {
		nap();
		return 0;
	}
	return bm_report(engine->loader->error, ret, engine->loader->sources[0].file->path,
			 "io_uring: %s", strerror(-ret));
}

/* Takes in all reads that have ended; those that are not complete go on. */
static int reap(struct engine *engine)
{
	struct io_uring_cqe *cqe;
	int err = 0;

	while (!io_uring_peek_cqe(&engine->ring, &cqe)) {
		struct bm_window *window = io_uring_cqe_get_data(cqe);
		int res = cqe->res, ret;

		io_uring_cqe_seen(&engine->ring, cqe);
		engine->in_flight--;
		if (err)
			continue;
		ret = bm_window_done(engine->loader, window, res);
		if (ret > 0) {
			err = queue(engine, window);
		} else {
			err = ret;
			window->next_free = engine->free;
			engine->free = window;
		}
	}
	return err;
}

/* Waits for what the kernel has begun. What was never submitted is forgotten. */
static void drain(struct engine *engine)
{
	unsigned int left = engine->in_flight - io_uring_sq_ready(&engine->ring);
	struct io_uring_cqe *cqe;

	while (left) {
		if (io_uring_wait_cqe(&engine->ring, &cqe)) {
			nap();
			continue;
		}
		io_uring_cqe_seen(&engine->ring, cqe);
		left--;
	}
}

static int run(struct engine *engine)
{
	int err = fill(engine);

	while (!err && engine->in_flight) {
		err = submit(engine);
		if (!err)
			err = reap(engine);
		if (!err)
			err = bm_loader_tell(engine->loader);
		if (!err)
			err = fill(engine);
	}
	drain(engine);
	return err;
}

int bm_engine_ring(struct bm_loader *loader)
{
	struct engine engine = {.loader = loader};
	unsigned int depth = loader->depth;
	int err;

	if (io_uring_queue_init(depth, &engine.ring, 0))
		return 1;
	engine.windows = calloc(depth, sizeof(*engine.windows));
	if (!engine.windows) {
		io_uring_queue_exit(&engine.ring);
		return bm_report_nomem(loader->error, loader->sources[0].file->path);
	}
	for (unsigned int i = 0; i < depth; i++)
		engine.windows[i].next_free = i + 1 < depth ? &engine.windows[i + 1] : NULL;
	engine.free = engine.windows;
	make_table(&engine);
	err = run(&engine);
	if (engine.n_chunks)
		(void)io_uring_unregister_buffers(&engine.ring);
	io_uring_queue_exit(&engine.ring);
	free(engine.registered);
	free(engine.windows);
	return err;
}
