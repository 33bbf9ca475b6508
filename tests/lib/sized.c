// SPDX-License-Identifier: GPL-2.0
/*
 * Structures that begin with their size, set up for programs that were compiled with fewer
 * members, or more, than the library has: nothing is written beyond what they have.
 */
#include <bitmem/model.h>
#include <bitmem/pools.h>
#include <bitmem/pressure.h>
#include <bitmem/track.h>

#include "lib_test.h"

#define ROOM 512
#define BEFORE 0x5a

#define INIT(name) \
	static void init_##name(void *to, size_t size) { bitmem_##name##_init_sized(to, size); } \
	static void fill_##name(void *to) { bitmem_##name##_init(to); }

INIT(options)
INIT(model_options)
INIT(pool_options)
INIT(policy)
INIT(strategy)
INIT(growth)

#define KIND(name) { #name, sizeof(struct bitmem_##name), init_##name, fill_##name }

static const struct kind {
	const char *name;
	size_t size;
	void (*init)(void *to, size_t size);
	void (*fill)(void *to);
} kinds[] = {
	KIND(options), KIND(model_options), KIND(pool_options), KIND(policy), KIND(strategy),
	KIND(growth),
};

FIXTURE(sized)
{
	/* As the program of today has it. */
	unsigned char today[ROOM];
	unsigned char memory[ROOM];
};

FIXTURE_VARIANT(sized)
{
	size_t kind;
};

FIXTURE_VARIANT_ADD(sized, options) { .kind = 0 };
FIXTURE_VARIANT_ADD(sized, model_options) { .kind = 1 };
FIXTURE_VARIANT_ADD(sized, pool_options) { .kind = 2 };
FIXTURE_VARIANT_ADD(sized, policy) { .kind = 3 };
FIXTURE_VARIANT_ADD(sized, strategy) { .kind = 4 };
FIXTURE_VARIANT_ADD(sized, growth) { .kind = 5 };

FIXTURE_SETUP(sized)
{
	memset(self->today, BEFORE, ROOM);
	memset(self->memory, BEFORE, ROOM);
	kinds[variant->kind].fill(self->today);
}

FIXTURE_TEARDOWN(sized)
{
}

static size_t told(const unsigned char *memory)
{
	size_t size;

	memcpy(&size, memory, sizeof(size));
	return size;
}

TEST_F(sized, todays)
{
	const struct kind *kind = &kinds[variant->kind];

	EXPECT_EQ(kind->size, told(self->today));
	EXPECT_TRUE(test_all_are(self->today + kind->size, BEFORE, ROOM - kind->size));
}

/* A program that knows less, down to nothing: each member that it has is what it is today. */
TEST_F(sized, smaller)
{
	const struct kind *kind = &kinds[variant->kind];

	for (size_t size = 0; size < kind->size; size++) {
		memset(self->memory, BEFORE, ROOM);
		kind->init(self->memory, size);
		EXPECT_TRUE(test_all_are(self->memory + size, BEFORE, ROOM - size));
		if (size < sizeof(size_t))
			continue;
		EXPECT_EQ(size, told(self->memory));
		EXPECT_EQ(0, memcmp(self->memory + sizeof(size_t), self->today + sizeof(size_t),
				    size - sizeof(size_t)));
	}
}

/* A program that knows more: what the library does not know is zero. */
TEST_F(sized, larger)
{
	const struct kind *kind = &kinds[variant->kind];
	const size_t size = kind->size + 64;

	kind->init(self->memory, size);
	EXPECT_EQ(size, told(self->memory));
	EXPECT_EQ(0, memcmp(self->memory + sizeof(size_t), self->today + sizeof(size_t),
			    kind->size - sizeof(size_t)));
	EXPECT_TRUE(test_all_are(self->memory + kind->size, 0, 64));
	EXPECT_TRUE(test_all_are(self->memory + size, BEFORE, ROOM - size));
}

TEST_HARNESS_MAIN
