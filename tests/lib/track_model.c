/* SPDX-License-Identifier: GPL-2.0 */
/* A model's tensors in snapshots and audits: told of, with who loaded it. */
#include <bitmem/model.h>

#include "model_fixture.h"
#include "track_test.h"

static __attribute__((noinline, aligned(1024))) struct bitmem_model *load(struct bitmem *ctx,
									  const char *path)
{
	struct bitmem_model *model = bitmem_model_load(ctx, path, NULL);

	__asm__ volatile("" : : "r"(model));
	return model;
}

TEST_F(model, tensors_are_told_of)
{
	struct bitmem_audit audit = { .size = sizeof(audit) };
	const struct bitmem_live *live;
	struct bitmem_model *model;
	struct bitmem_snapshot *s;
	struct bytes b = { 0 };

	safetensors_file(&b, "{\"a\":{\"dtype\":\"F32\",\"shape\":[10],\"data_offsets\":[0,40]},"
			     "\"b\":{\"dtype\":\"I8\",\"shape\":[4,6],\"data_offsets\":[40,64]}}",
			 64);
	ASSERT_TRUE(dir_write_bytes(self->dir, "m", &b));
	bytes_free(&b);
	model = load(self->ctx, dir_path(self->dir, "m"));
	ASSERT_NE(NULL, model);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	EXPECT_TRUE(track_agrees(s));
	EXPECT_EQ(2, bitmem_snapshot_count(s));
	for (size_t i = 0; (live = bitmem_snapshot_get(s, i)); i++) {
		EXPECT_EQ(BITMEM_LIVE_SEGMENT, live->flags);
		EXPECT_EQ(BITMEM_LIVE_TENSOR, live->kind);
		EXPECT_EQ(live->dtype == BITMEM_F32 ? 40 : 24, live->bytes);
		EXPECT_EQ(live->tensor, bitmem_model_tensor(model, live->dtype == BITMEM_F32 ?
								   "a" : "b"));
		EXPECT_LT((uintptr_t)load, (uintptr_t)live->place->address);
		EXPECT_GT((uintptr_t)load + 1024, (uintptr_t)live->place->address);
	}
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_audit(self->ctx, &audit));
	EXPECT_EQ(2, audit.live);
	EXPECT_EQ(1, audit.backend_segments);
	bitmem_model_close(model);
	EXPECT_EQ(0, bitmem_audit(self->ctx, &audit));
	EXPECT_EQ(0, audit.backend_segments);
}

TEST_HARNESS_MAIN
