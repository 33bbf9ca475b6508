/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports of what is alive when nothing should be: when a context is closed, and when the process
 * exits. Wanted or not is read once, when the context is opened.
 */
#ifndef BITMEM_TRACK_LEAKS_H
#define BITMEM_TRACK_LEAKS_H

#include <stdbool.h>
#include <sys/types.h>

#include <bitmem/track.h>

struct bm_leaks {
	bool wanted;
	enum bitmem_report_format format;
	char *path;	/* NULL: stderr */
};

/* As BITMEM_LEAKS in the environment says. 0; -EINVAL or -ENOMEM with words. */
int bm_leaks_read(struct bm_leaks *leaks, struct bitmem_error *error);
void bm_leaks_destroy(struct bm_leaks *leaks);

/* Has open contexts reported at exit, all that want it. */
void bm_leaks_at_exit(void);

/* Reports, if it is wanted, what the context has. No lock is held. */
void bm_leaks_at_close(struct bitmem *ctx);

#endif /* BITMEM_TRACK_LEAKS_H */
