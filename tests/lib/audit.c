/* SPDX-License-Identifier: GPL-2.0 */
/* The audit: all agree, also while threads work; and where something is wrong it says so. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/bitmem.h>

#include <bitmem/share.h>

#include "../../libbitmem/block.h"
#include "../../libbitmem/segment.h"
#include "track_test.h"

#define THREADS 3

static int audit_of(struct bitmem *ctx, struct bitmem_audit *audit, struct bitmem_error *error)
{
	int ret;

	*audit = (struct bitmem_audit) { .size = sizeof(*audit), .error = error };
	ret = bitmem_audit(ctx, audit);
	if (ret && error)
		printf("# audit: %s\n", error->text);
	return ret;
}

static bool agrees(struct bitmem *ctx)
{
	struct bitmem_error error;
	struct bitmem_audit audit;

	return !audit_of(ctx, &audit, &error);
}

TEST_F(lib, of_nothing)
{
	struct bitmem_audit audit = { .size = 16 };

	EXPECT_EQ(-EINVAL, bitmem_audit(self->ctx, &audit));
	EXPECT_EQ(16, audit.size);
	EXPECT_EQ(0, audit_of(self->ctx, &audit, NULL));
	EXPECT_EQ(0, audit.live);
	EXPECT_EQ(0, audit.segments);
	EXPECT_EQ(0, audit.backend_segments);
	EXPECT_EQ(0, audit.backend_bytes);
}

TEST_F(lib, figures)
{
	const uint64_t shape = 1000;
	void *block = bitmem_alloc(self->ctx, 3 * MIB, 0), *small = bitmem_alloc(self->ctx, 1, 0);
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 0, NULL, 5);
	struct bitmem_stats stats = test_stats(self->ctx);
	struct bitmem_audit audit;

	ASSERT_EQ(0, audit_of(self->ctx, &audit, NULL));
	EXPECT_EQ(3, audit.live);
	EXPECT_EQ(3, audit.found);
	EXPECT_EQ(3 * MIB + 1001, audit.live_bytes);
	EXPECT_EQ(3 * MIB + 1001, audit.found_bytes);
	EXPECT_EQ(1, audit.views);
	EXPECT_EQ(1, audit.found_views);
	EXPECT_EQ(stats.segments, audit.segments);
	EXPECT_EQ(stats.committed_bytes, audit.committed_bytes);
	EXPECT_EQ(stats.pinned_bytes, audit.pinned_bytes);
	EXPECT_EQ(3, audit.backend_segments);
	EXPECT_EQ(stats.committed_bytes, audit.backend_bytes);
	EXPECT_LE(audit.pinned_bytes, audit.backend_pinned);
	EXPECT_EQ(0, audit.named);
	if (bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE) {
		EXPECT_EQ(stats.committed_bytes, audit.backend_resident);
	}
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, bitmem_free(self->ctx, small));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_TRUE(agrees(self->ctx));
}

static uint32_t step(uint32_t *state)
{
	return *state = *state * 1664525u + 1013904223u;
}

/* Allocates, frees and trims, and looks now and then. */
TEST_F_TIMEOUT(lib, whatever_happens, 240)
{
	void *held[64] = { NULL };
	uint32_t state = 12345;

	for (int i = 0; i < 3000; i++) {
		int n = (int)(step(&state) >> 16) % 64;
		size_t size = (size_t)1 << (step(&state) >> 16) % 22;

		if (held[n])
			EXPECT_EQ(0, bitmem_free(self->ctx, held[n]));
		held[n] = bitmem_alloc(self->ctx, size + (step(&state) >> 16) % size, 0);
		if (i % 211 == 0)
			bitmem_trim(self->ctx);
		if (i % 100 == 0)
			ASSERT_TRUE(agrees(self->ctx));
	}
	for (int n = 0; n < 64; n++)
		EXPECT_EQ(0, bitmem_free(self->ctx, held[n]));
	ASSERT_TRUE(agrees(self->ctx));
	bitmem_trim(self->ctx);
	ASSERT_TRUE(agrees(self->ctx));
}

struct shared {
	struct bitmem *ctx;
	atomic_bool stop;
};

static void *churn(void *arg)
{
	struct shared *s = arg;
	uint32_t state = (uint32_t)(uintptr_t)&state;

	for (int i = 0; !atomic_load(&s->stop); i++) {
		void *ptr = bitmem_alloc(s->ctx, (size_t)1 << (step(&state) >> 16) % 20, 0);

		if (i % 64 == 0)
			usleep(1000);
		bitmem_free(s->ctx, ptr);
	}
	return NULL;
}

TEST_F_TIMEOUT(lib, while_others_work, 120)
{
	struct shared s = { .ctx = self->ctx };
	pthread_t threads[THREADS];
	struct bitmem_audit audit;

	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &s));
	for (int i = 0; i < 30; i++) {
		EXPECT_EQ(0, audit_of(self->ctx, &audit, NULL));
		EXPECT_EQ(audit.live, audit.found);
		EXPECT_EQ(audit.live_bytes, audit.found_bytes);
	}
	atomic_store(&s.stop, true);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_TRUE(agrees(self->ctx));
}

/* --- what is broken on purpose, and mended --- */

static void expect_wrong(struct __test_metadata *_metadata, struct bitmem *ctx, const char *word)
{
	struct bitmem_error error;
	struct bitmem_audit audit;

	EXPECT_EQ(-EUCLEAN, audit_of(ctx, &audit, &error));
	EXPECT_EQ(-EUCLEAN, error.code);
	EXPECT_NE(NULL, strstr(error.text, word)) TH_LOG("%s", error.text);
}

/* In the child, whose memory is not locked: before and after it does something with it. */
static int audit_in_child(struct bitmem *ctx, void *own, void *block)
{
	if (!agrees(ctx))
		return 1;
	/* What is freed there is freed for the parent as well, who is to go on. */
	if (bitmem_backend(ctx) == BITMEM_BACKEND_DEVICE)
		return 0;
	if (bitmem_free(ctx, own) || !agrees(ctx))
		return 2;
	own = bitmem_alloc(ctx, 3 * MIB, 0);
	if (!own || !agrees(ctx))
		return 3;
	if (bitmem_free(ctx, own) || bitmem_free(ctx, block))
		return 4;
	bitmem_trim(ctx);
	return agrees(ctx) ? 0 : 5;
}

TEST_F(lib, in_a_child)
{
	const uint64_t shape = 1000;
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, &shape);
	void *own = bitmem_alloc(self->ctx, 3 * MIB, 0), *block = bitmem_alloc(self->ctx, 1000, 0);
	struct bitmem_stats before;
	pid_t child;
	int status;

	ASSERT_TRUE(t && own && block);
	before = test_stats(self->ctx);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(audit_in_child(self->ctx, own, block));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(before.pinned_bytes, test_stats(self->ctx).pinned_bytes);
	EXPECT_TRUE(agrees(self->ctx));
	EXPECT_EQ(0, bitmem_free(self->ctx, own));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	bitmem_tensor_unref(t);
}

TEST_F(lib, finds_wrong_books)
{
	struct bitmem *ctx = self->ctx;
	void *small = bitmem_alloc(ctx, 1000, 0), *large = bitmem_alloc(ctx, 100000, 0);
	struct bm_slot *slot, *run;
	uint16_t state;
	size_t room;

	slot = bm_block_slot(ctx, small, &room);
	run = bm_block_slot(ctx, large, &room);
	ASSERT_NE(NULL, slot);
	ASSERT_NE(NULL, run);

	ctx->spare++;
	expect_wrong(_metadata, ctx, "bytes");
	ctx->spare--;
	ctx->gone_allocs++;
	expect_wrong(_metadata, ctx, "blocks");
	ctx->gone_allocs--;
	ctx->counters.views++;
	expect_wrong(_metadata, ctx, "views");
	ctx->counters.views--;
	ctx->counters.committed_bytes += 4096;
	expect_wrong(_metadata, ctx, "committed");
	ctx->counters.committed_bytes -= 4096;
	ctx->counters.pinned_bytes++;
	expect_wrong(_metadata, ctx, "pinned");
	ctx->counters.pinned_bytes--;
	ctx->pools[0].heap.free_units++;
	expect_wrong(_metadata, ctx, "units");
	ctx->pools[0].heap.free_units--;
	ctx->pools[0].heap.nr_free++;
	expect_wrong(_metadata, ctx, "runs");
	ctx->pools[0].heap.nr_free--;
	state = slot->state;
	slot->state = BM_SLOT_FREE;
	expect_wrong(_metadata, ctx, "slab");
	slot->state = state;
	ctx->arena.runs[bm_run_of_slot(&ctx->arena, run)].n++;
	expect_wrong(_metadata, ctx, "unit");
	ctx->arena.runs[bm_run_of_slot(&ctx->arena, run)].n--;
	bm_bits_set(ctx->arena.returned, ctx->arena.runs[bm_run_of_slot(&ctx->arena, run)].first,
		    1);
	expect_wrong(_metadata, ctx, "memory");
	bm_bits_clear(ctx->arena.returned, ctx->arena.runs[bm_run_of_slot(&ctx->arena, run)].first,
		      1);
	EXPECT_TRUE(agrees(ctx));
	EXPECT_EQ(0, bitmem_free(ctx, small));
	EXPECT_EQ(0, bitmem_free(ctx, large));
}

TEST_F(lib, finds_wrong_slots)
{
	struct bitmem *ctx = self->ctx;
	const uint64_t shape = 1000;
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, &shape);
	struct bm_segment *segment;
	struct bm_slot *slot;
	struct bm_run *run;
	uint8_t class;
	size_t room;

	ASSERT_NE(NULL, t);
	segment = ctx->counted;
	slot = bm_block_slot(ctx, bitmem_tensor_data(t), &room);
	run = &ctx->arena.runs[bm_slab_run(&ctx->arena, bm_arena_offset(&ctx->arena,
				bitmem_tensor_data(t)) >> BM_FRAME_SHIFT)];
	slot->size = 60000;
	expect_wrong(_metadata, ctx, "a slot");
	slot->size = 1000;
	slot->state &= (uint16_t)~BM_SLOT_TENSOR;
	expect_wrong(_metadata, ctx, "no block of its");
	slot->state |= BM_SLOT_TENSOR;
	class = run->class;
	run->class = BM_NR_CLASSES;
	expect_wrong(_metadata, ctx, "slab");
	run->class = class;
	segment->returned += 4096;
	expect_wrong(_metadata, ctx, "segment");
	segment->returned -= 4096;
	EXPECT_TRUE(agrees(ctx));
	bitmem_tensor_unref(t);
}

/* The backend has less than is believed. */
TEST_F_TIMEOUT(lib, finds_missing_memory, 60)
{
	void *large = bitmem_alloc(self->ctx, 3 * MIB, 0);
	const struct bm_segment *segment = self->ctx->counted;
	int node, fd = bm_backend_device_fd(self->ctx->backend, &node);

	ASSERT_NE(NULL, large);
	if (fd >= 0) {
		struct bitmem_range range = {
			.size = sizeof(range), .id = (uint32_t)segment->range.handle,
			.length = segment->range.length,
		};

		ASSERT_EQ(0, ioctl(fd, BITMEM_DECOMMIT, &range));
		expect_wrong(_metadata, self->ctx, "backend");
		ASSERT_EQ(0, ioctl(fd, BITMEM_COMMIT, &range));
	} else {
		char *addr = segment->range.addr;
		void *page = mmap(NULL, 4096, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		ASSERT_NE(MAP_FAILED, page);
		/* Another memory where a page of the segment was, and that one elsewhere. */
		ASSERT_EQ(page, mremap(addr, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page));
		expect_wrong(_metadata, self->ctx, "backend");
		ASSERT_EQ(addr, mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, addr));
	}
	EXPECT_TRUE(agrees(self->ctx));
	EXPECT_EQ(0, bitmem_free(self->ctx, large));
}

TEST_HARNESS_MAIN
