/* SPDX-License-Identifier: GPL-2.0 */
/* The fixture of the tests of model loading: a context, and a directory for files. */
#ifndef BITMEM_MODEL_FIXTURE_H
#define BITMEM_MODEL_FIXTURE_H

#include "lib_test.h"
#include "model_test.h"

/* Where the directory is made; NULL for $TMPDIR or /tmp. */
#ifndef MODEL_DIR
#define MODEL_DIR NULL
#endif

FIXTURE(model)
{
	struct bitmem *ctx;
	char *dir;
};

FIXTURE_SETUP(model)
{
	self->ctx = test_open(2 * MIB);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
	self->dir = dir_make(MODEL_DIR);
	ASSERT_NE(NULL, self->dir);
}

FIXTURE_TEARDOWN(model)
{
	struct bitmem_stats stats = test_stats(self->ctx);

	dir_remove(self->dir);
	EXPECT_EQ(0, stats.live);
	EXPECT_EQ(0, stats.committed_bytes);
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_FALSE(test_leaks());
}

#endif /* BITMEM_MODEL_FIXTURE_H */
