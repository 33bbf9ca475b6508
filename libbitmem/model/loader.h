/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A load under way: sources (files) cut into windows (reads), which an engine
 * (io_uring or pread) carries out. One thread; nothing here is shared.
 */
#ifndef BITMEM_MODEL_LOADER_H
#define BITMEM_MODEL_LOADER_H

#include "set.h"

/*
 * A file being read. Offsets count from the file's base, and so are offsets into
 * the segment too. The file is open from its first window to its last.
 */
struct bm_source {
	struct bm_file *file;
	int fd;			/* -1 when not open */
	bool direct;		/* fd has O_DIRECT */
	uint64_t window;	/* bytes of a read, a multiple of the file's block */
	uint64_t next;		/* where the next window begins */
	uint64_t need;		/* bytes to read in all */
	unsigned int in_flight; /* windows that are not done */
	size_t first_chunk;	/* of its segment, in the engine's table of fixed buffers */
};

/* A read, or what is left of one. */
struct bm_window {
	struct bm_source *source;
	uint64_t pos;		/* where it begins */
	uint64_t got, need;	/* bytes read, bytes wanted */
	bool direct;		/* how it was last submitted */
	unsigned int idle;	/* tries in a row that brought nothing */
	struct bm_window *next_free;
};

struct bm_loader {
	struct bitmem_error *error;
	const struct bitmem_model_options *options;
	unsigned int depth;
	struct bm_source *sources;
	size_t n_sources;
	size_t head;		/* the first source with windows to come */
	size_t turn;
	struct bitmem_progress progress;
	bool buffered;		/* something was read through the page cache */
	bool plain, fixed;	/* something was read into buffers that are not fixed, or are */
};

/* The next read and *@length to ask for. 1, 0 if all have been handed out, -errno. */
int bm_loader_next(struct bm_loader *loader, struct bm_window *window);
/* Where a window goes on reading. */
void *bm_window_to(const struct bm_window *window);
uint64_t bm_window_from(const struct bm_window *window);
/* Bytes to ask for now; notes whether the read is direct. */
unsigned int bm_window_length(struct bm_window *window);
/* Takes in the result of a read. 1 if it has to go on, 0 if it is done, -errno. */
int bm_window_done(struct bm_loader *loader, struct bm_window *window, int res);
/* Tells the caller; -ECANCELED if that wants no more. */
int bm_loader_tell(struct bm_loader *loader);

/* --- engine_ring.c: 0, -errno, or 1 if the kernel refuses io_uring --- */
int bm_engine_ring(struct bm_loader *loader);

/* --- engine_pread.c --- */
int bm_engine_pread(struct bm_loader *loader);

#endif /* BITMEM_MODEL_LOADER_H */
