/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON parsing, strict: see json.h. */
#include <errno.h>

#include "json.h"

int bm_json_parse(const char *path, const char *field, const char *text, size_t length,
		  json_t **root, struct bitmem_error *error)
{
	json_error_t bad = {0};

	/* Without memory for a token, jansson calls the token bad: malloc() knows better. */
	errno = 0;
	*root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &bad);
	if (*root)
		return 0;
	if (errno == ENOMEM || !bad.text[0])
		return bm_report_nomem(error, path);
	return bm_report(error, -EBADMSG, path, "%s: bad JSON at byte %d: %s", field, bad.position,
			 bad.text);
}
