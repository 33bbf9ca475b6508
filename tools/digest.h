/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SHA-256 of every tensor of a model.
 */
#ifndef TOOLS_DIGEST_H
#define TOOLS_DIGEST_H

#include <bitmem/model.h>

#define DIGEST_HEX_LEN 65

typedef char digest_hex[DIGEST_HEX_LEN];

/*
 * Returns an array, one digest a tensor, to be freed by free(). NULL with errno:
 * ENOMEM, ECANCELED (a signal came), EIO (libcrypto failed).
 */
digest_hex *digest_model(const struct bitmem_model *model);

#endif /* TOOLS_DIGEST_H */
