// SPDX-License-Identifier: GPL-2.0
/*
 * Digests are taken from memory, of what was loaded, after the load.
 */
#include "digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "progress.h"
#include "stop.h"

/* Bytes between two looks at the signals. */
#define CHUNK ((size_t)4 << 20)

struct digest {
	EVP_MD_CTX *evp;
	struct progress progress;
	uint64_t done;
	uint64_t total;
};

static int hash(struct digest *digest, const unsigned char *data, size_t size)
{
	if (!EVP_DigestInit_ex(digest->evp, EVP_sha256(), NULL))
		return -EIO;
	while (size) {
		size_t step = size < CHUNK ? size : CHUNK;

		if (stop_signal())
			return -ECANCELED;
		if (!EVP_DigestUpdate(digest->evp, data, step))
			return -EIO;
		data += step;
		size -= step;
		digest->done += step;
		progress_draw(&digest->progress, digest->done, digest->total);
	}
	return 0;
}

static int finish(struct digest *digest, digest_hex hex)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int size;

	if (!EVP_DigestFinal_ex(digest->evp, raw, &size) || 2 * size + 1 != DIGEST_HEX_LEN)
		return -EIO;
	for (unsigned int i = 0; i < size; i++)
		sprintf(&hex[2 * (size_t)i], "%02x", raw[i]);
	return 0;
}

static int hash_all(struct digest *digest, const struct bitmem_model *model, digest_hex *hexes)
{
	const struct bitmem_model_entry *entry;
	int err;

	for (size_t i = 0; (entry = bitmem_model_entry(model, i)); i++) {
		err = hash(digest, bitmem_tensor_data(entry->tensor), entry->bytes);
		if (!err)
			err = finish(digest, hexes[i]);
		if (err)
			return err;
	}
	return 0;
}

digest_hex *digest_model(const struct bitmem_model *model)
{
	struct bitmem_model_info info = {.size = sizeof(info)};
	struct digest digest = {0};
	digest_hex *hexes;
	int err;

	bitmem_model_info(model, &info);
	digest.total = info.bytes;
	/* One more than needed: a model without tensors is not an error. */
	hexes = calloc(info.tensors + 1, sizeof(*hexes));
	digest.evp = EVP_MD_CTX_new();
	if (!hexes || !digest.evp) {
		err = -ENOMEM;
	} else {
		progress_start(&digest.progress, "hashing");
		err = hash_all(&digest, model, hexes);
		progress_end(&digest.progress);
	}
	EVP_MD_CTX_free(digest.evp);
	if (err) {
		free(hexes);
		errno = -err;
		return NULL;
	}
	return hexes;
}
