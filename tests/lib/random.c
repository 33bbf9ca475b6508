/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random use of the allocator against a model of it: what is live, where, and
 * with what in it. After every step the counters must be the model's, and now and then
 * all of the library's structures are looked at.
 *
 * The seed is printed; BITMEM_TEST_SEED=N repeats a run, BITMEM_TEST_STEPS=N makes it
 * a longer one.
 */
#include <sys/random.h>

#include <bitmem/track.h>

#include "lib_test.h"

#define SEGMENT (2 * MIB)
#define SLOTS 256
#define STEPS 20000

enum kind { NOTHING, BLOCK, TENSOR, VIEW };

struct slot {
	enum kind kind;
	unsigned char *data;
	size_t size;
	unsigned char value;
	struct bitmem_tensor *tensor;
	int root; /* of a view: the slot whose memory it shows, -1 if that was dropped */
};

struct model {
	struct bitmem *ctx;
	uint64_t state;
	struct slot slots[SLOTS];
	/* Bytes of tensors that live only through a view, by the view's slot. */
	size_t kept[SLOTS];
	struct bitmem_stats stats;
	/* What went wrong, or NULL. */
	const char *failure;
};

/* xorshift64* */
static uint64_t next(struct model *m)
{
	m->state ^= m->state >> 12;
	m->state ^= m->state << 25;
	m->state ^= m->state >> 27;
	return m->state * 0x2545f4914f6cdd1du;
}

static size_t below(struct model *m, size_t limit)
{
	return (size_t)(next(m) >> 11) % limit;
}

/* Mostly small, sometimes around a segment, rarely nothing. */
static size_t random_size(struct model *m)
{
	switch (below(m, 40)) {
	case 0:
		return SEGMENT - 128 + below(m, 256);
	case 1:
		return SEGMENT + below(m, SEGMENT);
	case 2 ... 9:
		return 1 + below(m, 200000);
	default:
		return 1 + below(m, 4000);
	}
}

static void fail(struct model *m, const char *what)
{
	if (!m->failure)
		m->failure = what;
}

static bool overlaps(const struct slot *a, const struct slot *b)
{
	return a->data < b->data + b->size && b->data < a->data + a->size;
}

/* New memory is zeroed and nobody else's. */
static void add(struct model *m, struct slot *slot)
{
	if (!test_all_are(slot->data, 0, slot->size))
		fail(m, "memory is not zeroed");
	for (int i = 0; i < SLOTS; i++) {
		if (m->slots[i].kind != NOTHING && &m->slots[i] != slot &&
		    overlaps(&m->slots[i], slot))
			fail(m, "memory was handed out twice");
	}
	slot->value = (unsigned char)(1 + below(m, 255));
	memset(slot->data, slot->value, slot->size);
	m->stats.live++;
	m->stats.allocs++;
	m->stats.live_bytes += slot->size;
	if (m->stats.peak_bytes < m->stats.live_bytes)
		m->stats.peak_bytes = m->stats.live_bytes;
}

static void count_free(struct model *m, size_t size)
{
	m->stats.live--;
	m->stats.frees++;
	m->stats.live_bytes -= size;
}

static void new_block(struct model *m, struct slot *slot)
{
	size_t align = (size_t)1 << below(m, 22);

	slot->size = random_size(m);
	slot->data = bitmem_zalloc(m->ctx, slot->size, align);
	if (!slot->data)
		return fail(m, "bitmem_zalloc() failed");
	if ((uintptr_t)slot->data % align)
		fail(m, "a block is not aligned");
	slot->kind = BLOCK;
	add(m, slot);
}

static void new_tensor(struct model *m, struct slot *slot)
{
	uint64_t shape = random_size(m);

	slot->size = shape;
	slot->tensor = bitmem_tensor_new(m->ctx, BITMEM_U8, 1, &shape);
	if (!slot->tensor)
		return fail(m, "bitmem_tensor_new() failed");
	slot->data = bitmem_tensor_data(slot->tensor);
	slot->kind = TENSOR;
	add(m, slot);
}

/* One view of a tensor at a time: who dropped its tensor keeps the memory alone. */
static void new_view(struct model *m, struct slot *slot, int root)
{
	struct slot *of = &m->slots[root];
	size_t offset = below(m, of->size + 1);
	uint64_t shape = below(m, of->size - offset + 1);

	if (of->kind != TENSOR)
		return;
	for (int i = 0; i < SLOTS; i++) {
		if (m->slots[i].kind == VIEW && m->slots[i].root == root)
			return;
	}
	slot->tensor = bitmem_tensor_view(of->tensor, BITMEM_U8, 1, &shape, offset);
	if (!slot->tensor)
		return fail(m, "bitmem_tensor_view() failed");
	if (bitmem_tensor_data(slot->tensor) != of->data + offset)
		fail(m, "a view is elsewhere");
	slot->kind = VIEW;
	slot->data = of->data + offset;
	slot->size = shape;
	slot->value = of->value;
	slot->root = root;
	m->stats.views++;
}

/* The tensor goes; its memory stays, if a view holds it. */
static void drop_tensor(struct model *m, int index)
{
	struct slot *slot = &m->slots[index];

	bitmem_tensor_unref(slot->tensor);
	for (int i = 0; i < SLOTS; i++) {
		if (m->slots[i].kind == VIEW && m->slots[i].root == index) {
			m->slots[i].root = -1;
			m->kept[i] = slot->size;
			return;
		}
	}
	count_free(m, slot->size);
}

static void drop_view(struct model *m, int index)
{
	bitmem_tensor_unref(m->slots[index].tensor);
	m->stats.views--;
	if (m->slots[index].root == -1)
		count_free(m, m->kept[index]);
}

static void drop(struct model *m, int index)
{
	struct slot *slot = &m->slots[index];

	if (!test_all_are(slot->data, slot->value, slot->size))
		fail(m, "somebody else wrote to live memory");
	switch (slot->kind) {
	case BLOCK:
		if (bitmem_usable_size(m->ctx, slot->data) < slot->size)
			fail(m, "a block is too small");
		if (bitmem_free(m->ctx, slot->data))
			fail(m, "bitmem_free() failed");
		if (bitmem_free(m->ctx, slot->data) != -EINVAL)
			fail(m, "a second free was taken");
		count_free(m, slot->size);
		break;
	case TENSOR:
		drop_tensor(m, index);
		break;
	case VIEW:
		drop_view(m, index);
		break;
	case NOTHING:
		break;
	}
	memset(slot, 0, sizeof(*slot));
}

static void check(struct model *m)
{
	struct bitmem_stats now = test_stats(m->ctx);

	if (now.live != m->stats.live || now.live_bytes != m->stats.live_bytes ||
	    now.peak_bytes != m->stats.peak_bytes || now.views != m->stats.views ||
	    now.allocs != m->stats.allocs || now.frees != m->stats.frees)
		fail(m, "the counters are wrong");
	if (now.committed_bytes < now.live_bytes)
		fail(m, "less is committed than is live");
}

static void step(struct model *m)
{
	int index = (int)below(m, SLOTS);
	struct slot *slot = &m->slots[index];

	if (slot->kind != NOTHING)
		drop(m, index);
	else if (below(m, 4) == 0)
		new_view(m, slot, (int)below(m, SLOTS));
	else if (below(m, 2))
		new_block(m, slot);
	else
		new_tensor(m, slot);
	if (below(m, 500) == 0)
		bitmem_trim(m->ctx);
	check(m);
}

static void audit(struct model *m)
{
	struct bitmem_audit audit = { .size = sizeof(audit) };

	if (bitmem_audit(m->ctx, &audit))
		fail(m, "the books do not agree with each other, or with the backend's");
}

static int steps(void)
{
	const char *given = getenv("BITMEM_TEST_STEPS");

	return given ? atoi(given) : STEPS;
}

static uint64_t seed(void)
{
	const char *given = getenv("BITMEM_TEST_SEED");
	uint64_t value = 0;

	if (given)
		return strtoull(given, NULL, 0) | 1;
	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		return 1;
	return value | 1;
}

static void run(struct __test_metadata *_metadata, struct bitmem *ctx, int steps)
{
	struct model *m = calloc(1, sizeof(*m));
	int n;

	ASSERT_NE(NULL, m);
	m->ctx = ctx;
	m->state = seed();
	TH_LOG("BITMEM_TEST_SEED=%#llx", (unsigned long long)m->state);
	for (n = 0; n < steps && !m->failure; n++) {
		step(m);
		if (n % 1000 == 0)
			audit(m);
	}
	EXPECT_EQ(NULL, m->failure) TH_LOG("step %d: %s", n, m->failure);
	for (int i = 0; i < SLOTS; i++)
		drop(m, i);
	check(m);
	EXPECT_EQ(NULL, m->failure) TH_LOG("at the end: %s", m->failure);
	EXPECT_EQ(0, m->stats.live);
	bitmem_trim(ctx);
	EXPECT_EQ(0, test_stats(ctx).committed_bytes);
	free(m);
}

TEST_F_TIMEOUT(lib, behaves_as_its_model, 3600)
{
	struct bitmem_stats before = test_stats(self->ctx);

	run(_metadata, self->ctx, steps());
	/* What was needed for the most there was is kept: it is small. */
	EXPECT_GT(before.meta_bytes + 64 * 1024, test_stats(self->ctx).meta_bytes);
}

TEST_HARNESS_MAIN
