// SPDX-License-Identifier: GPL-2.0
/*
 * Eight processes at a time do all that can be done with buffers, to each other's as well,
 * and are killed, each at a moment of its own. Nothing is lost: when they are gone, every
 * page is back, at once or as soon as the last pin has gone.
 *
 * $BITMEM_ROUNDS says how often; $BITMEM_SEED makes the first round one that was seen
 * before: each process's choices follow from it, if not what the others do meanwhile.
 */
#include "chaos.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define ROUNDS		50

/* Each process lives for less than this. */
#define LIFE_MS		120

BT_FIXTURE(chaos);

static unsigned int first_seed(void)
{
	const char *text = getenv("BITMEM_SEED");

	return text ? strtoul(text, NULL, 10) : (unsigned int)bt_now_ns();
}

static int open_ring(struct chaos *chaos)
{
	int i;

	for (i = 0; i < PROCESSES; i++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			       chaos->ring[i]))
			return -errno;
	}
	return 0;
}

static void close_ring(struct chaos *chaos)
{
	int i;

	for (i = 0; i < PROCESSES; i++) {
		close(chaos->ring[i][0]);
		close(chaos->ring[i][1]);
	}
}

/* Kills them all in an order and at moments that @seed decides. Returns how many died of it. */
static int kill_all(const pid_t *children, unsigned int seed)
{
	int i, first = rand_r(&seed) % PROCESSES, killed = 0;

	for (i = 0; i < PROCESSES; i++) {
		const pid_t child = children[(first + i) % PROCESSES];

		bt_sleep_ms(rand_r(&seed) % (2 * LIFE_MS / PROCESSES));
		killed += !kill(child, SIGKILL) && bt_reap(child) == 256 + SIGKILL;
	}
	return killed;
}

/* Returns the time until all is whole again, in ns, or 0 if it never was. */
static uint64_t one_round(struct __test_metadata *_metadata, struct chaos *chaos,
			  unsigned int seed)
{
	pid_t children[PROCESSES];
	uint64_t began;
	const char *why;
	unsigned int i;

	ASSERT_EQ(0, open_ring(chaos));
	for (i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		ASSERT_LE(0, children[i]);
		if (!children[i])
			chaos_live(chaos, i, seed * PROCESSES + i);
	}
	ASSERT_EQ(PROCESSES, kill_all(children, seed));
	/* Descriptors may still be on their way. */
	close_ring(chaos);
	began = bt_now_ns();
	why = bt_end(chaos->t);
	if (why)
		TH_LOG("seed %u: afterwards %s", seed, why);
	return why ? 0 : bt_now_ns() - began;
}

TEST_F_TIMEOUT(chaos, killed_at_random, 9000)
{
	const unsigned int rounds = bt_rounds(ROUNDS), seed = first_seed();
	uint64_t took, most = 0;
	struct chaos *chaos;
	unsigned int i;

	chaos = mmap(NULL, sizeof(*chaos), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	ASSERT_NE(MAP_FAILED, chaos);
	chaos->t = &self->t;
	TH_LOG("BITMEM_SEED=%u", seed);
	for (i = 0; i < rounds; i++) {
		took = one_round(_metadata, chaos, seed + i);
		ASSERT_NE(0, took);
		most = took > most ? took : most;
	}
	for (i = 0; i < ACTIONS; i++) {
		TH_LOG("%s: %lu times", chaos_names[i], chaos->did[i]);
		EXPECT_LT(0, chaos->did[i]);
		EXPECT_EQ(0, chaos->odd[i]);
	}
	TH_LOG("%u rounds; all was back after %llu ms at most", rounds,
	       (unsigned long long)most / 1000000);
}

BT_MAIN
