/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bitmem load prints of a model.
 */
#ifndef TOOLS_MODEL_REPORT_H
#define TOOLS_MODEL_REPORT_H

#include <bitmem/model.h>

#include "digest.h"

struct model_report {
	const struct bitmem_model *model;
	/* "device" or "memfd" */
	const char *backend;
	/* One a tensor, or NULL. */
	digest_hex *digests;
};

/* 0, or -1 after saying on stderr what failed. */
int model_report_json(const struct model_report *report);
int model_report_text(const struct model_report *report);

#endif /* TOOLS_MODEL_REPORT_H */
