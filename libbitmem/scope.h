/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a context keeps of its scopes (scope.c). A scope's structure is one until the context
 * ends, so that a handle of one that was closed is found to be stale. Guarded by the
 * context's lock.
 */
#ifndef BITMEM_SCOPE_H
#define BITMEM_SCOPE_H

struct bm_scope;

struct bm_scopes {
	struct bm_scope *first, *last;	/* closed ones, the one closed last at the end */
};

/* For a context's end: no scope is open, as each holds the context. */
void bm_scopes_delete(struct bm_scopes *scopes);

#endif /* BITMEM_SCOPE_H */
