/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the keeper does, round after round. */
#ifndef BITMEM_ROUND_H
#define BITMEM_ROUND_H

#include "internal.h"

/*
 * Runs until the context is closed. False if the context is not to be touched any more:
 * this is a child that a callback has forked.
 */
bool bm_rounds(struct bitmem *ctx);

#endif /* BITMEM_ROUND_H */
