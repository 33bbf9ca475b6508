/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A hundred programs that leak nothing, each another mixture by its seed, say nothing. What they
 * do is what leaks hide in: references, views, scopes, threads, children, memory that is sent.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bitmem/share.h>

#include "track_test.h"

#define PROGRAMS 100
#define SLOTS 24

struct program {
	struct bitmem *ctx;
	uint32_t state;
	struct bitmem_tensor *tensors[SLOTS];
	void *blocks[SLOTS];
};

static uint32_t step(struct program *p, uint32_t n)
{
	p->state = p->state * 1664525u + 1013904223u;
	return (p->state >> 8) % n;
}

static void do_block(struct program *p)
{
	void **block = &p->blocks[step(p, SLOTS)];
	size_t size = 1 + step(p, 1u << step(p, 20));

	if (bitmem_free(p->ctx, *block))
		abort();
	*block = step(p, 2) ? bitmem_zalloc(p->ctx, size, (size_t)64 << step(p, 8)) :
			      bitmem_alloc(p->ctx, size, 0);
}

static void do_tensor(struct program *p)
{
	struct bitmem_tensor **t = &p->tensors[step(p, SLOTS)];
	const uint64_t shape[] = { 1 + step(p, 30), 1 + step(p, 3000) };

	bitmem_tensor_unref(*t);
	switch (step(p, 3)) {
	case 0:
		*t = bitmem_tensor_new(p->ctx, BITMEM_F32, 2, shape);
		break;
	case 1:
		*t = bitmem_tensor_empty(p->ctx, BITMEM_I4, 2, shape);
		break;
	default:
		*t = bitmem_tensor_new_shareable(p->ctx, BITMEM_U8, 1, shape);
	}
}

static void do_view(struct program *p)
{
	struct bitmem_tensor *of = p->tensors[step(p, SLOTS)], *view;
	struct bitmem_tensor **t = &p->tensors[step(p, SLOTS)];

	if (!of || !bitmem_tensor_bytes(of))
		return;
	view = bitmem_tensor_view(of, BITMEM_U8, 0, NULL,
				  step(p, (uint32_t)bitmem_tensor_bytes(of)));
	bitmem_tensor_unref(*t);
	*t = view;
}

static void do_refs(struct program *p)
{
	struct bitmem_tensor *t = p->tensors[step(p, SLOTS)];
	int n = (int)step(p, 5);

	for (int i = 0; i < n; i++)
		bitmem_tensor_ref(t);
	for (int i = 0; i < n; i++)
		bitmem_tensor_unref(t);
}

static void do_scope(struct program *p)
{
	const uint64_t shape = 1 + step(p, 100000);
	bitmem_auto struct bitmem_tensor *t = bitmem_tensor_new(p->ctx, BITMEM_BF16, 1, &shape);
	bitmem_auto struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 0, NULL, 0);

	if (step(p, 2))
		return;
	bitmem_tensor_unref(bitmem_tensor_ref(v));
}

static void do_send(struct program *p)
{
	const uint64_t shape = 1 + step(p, 5000);
	bitmem_auto struct bitmem_tensor *t =
		bitmem_tensor_new_shareable(p->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor **to = &p->tensors[step(p, SLOTS)];
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) || bitmem_tensor_send(sockets[0], t))
		abort();
	bitmem_tensor_unref(*to);
	*to = bitmem_tensor_receive(p->ctx, sockets[1], NULL);
	if (!*to)
		abort();
	close(sockets[0]);
	close(sockets[1]);
}

static void *thread_main(void *arg)
{
	struct program own = *(const struct program *)arg;

	memset(own.tensors, 0, sizeof(own.tensors));
	memset(own.blocks, 0, sizeof(own.blocks));
	for (int i = 0; i < 40; i++) {
		do_block(&own);
		do_tensor(&own);
	}
	for (int i = 0; i < SLOTS; i++) {
		bitmem_tensor_unref(own.tensors[i]);
		bitmem_free(own.ctx, own.blocks[i]);
	}
	return NULL;
}

static void do_threads(struct program *p)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		if (pthread_create(&threads[i], NULL, thread_main, p))
			abort();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* A child that exits with what it knows, or has a context of its own. */
static void do_fork(struct program *p)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct bitmem *own;

		if (step(p, 2))
			exit(0);
		own = track_open(BITMEM_TRACKING_SITES);
		bitmem_free(own, bitmem_alloc(own, 1000, 0));
		exit((int)bitmem_close(own));
	}
	if (waitpid(pid, &status, 0) != pid || status)
		abort();
}

static void do_look(struct program *p)
{
	struct bitmem_mark *mark = bitmem_mark(p->ctx);

	bitmem_snapshot_free(bitmem_leaks(p->ctx, mark));
	bitmem_mark_free(mark);
	if (step(p, 3) == 0)
		bitmem_trim(p->ctx);
}

static void steps(struct program *p)
{
	static void (*const often[])(struct program *p) = {
		do_block, do_tensor, do_view, do_refs, do_scope,
	};
	static void (*const seldom[])(struct program *p) = {
		do_send, do_threads, do_fork, do_look,
	};
	int n = 50 + (int)step(p, 400);

	for (int i = 0; i < n; i++)
		often[step(p, 5)](p);
	for (int i = 0; i < 4; i++) {
		seldom[step(p, 4)](p);
		often[step(p, 5)](p);
	}
}

static int run(void *arg)
{
	static const enum bitmem_tracking levels[] = {
		BITMEM_TRACKING_COUNTERS, BITMEM_TRACKING_SITES, BITMEM_TRACKING_SITES,
		BITMEM_TRACKING_FULL,
	};
	struct program p = { .state = (uint32_t)(uintptr_t)arg };
	bool closes;

	step(&p, 2);
	p.ctx = track_open(levels[step(&p, 4)]);
	closes = step(&p, 3);
	if (!p.ctx)
		return 1;
	steps(&p);
	for (int i = 0; i < SLOTS; i++) {
		bitmem_tensor_unref(p.tensors[i]);
		if (bitmem_free(p.ctx, p.blocks[i]))
			return 2;
	}
	return closes ? (int)bitmem_close(p.ctx) : 0;
}

TEST_F_TIMEOUT(lib, say_nothing, 280)
{
	for (uintptr_t seed = 1; seed <= PROGRAMS; seed++) {
		struct track_child child = track_run("1", run, (void *)seed);

		EXPECT_EQ(0, child.status) TH_LOG("seed %zu", (size_t)seed);
		EXPECT_EQ(0, strcmp("", child.text)) TH_LOG("seed %zu: %s", (size_t)seed,
							     child.text);
		free(child.text);
	}
}

TEST_HARNESS_MAIN
