// SPDX-License-Identifier: GPL-2.0
/*
 * The threads of movestorm that move, pin, map and touch pages without knowing what is in
 * them. Contents that matter are only ever read here.
 */
#include "movestorm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

static __thread sigjmp_buf bail;
static __thread volatile sig_atomic_t may_bail;

/* Where nothing is committed, a touch is a SIGBUS. Anywhere else it ends the test. */
static void on_bus(int signal)
{
	if (may_bail)
		siglongjmp(bail, 1);
	_exit(128 + signal);
}

int wild_handlers(void)
{
	struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };

	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

/* memcpy() of what may not be there; false if it was not. */
bool wild_copy(void *to, const void *from, size_t length)
{
	bool there = false;

	if (!sigsetjmp(bail, 0)) {
		may_bail = 1;
		memcpy(to, from, length);
		there = true;
	}
	may_bail = 0;
	return there;
}

static char *any_page(struct fighter *me, struct buffer *buffer)
{
	const size_t page = me->storm->t->page;

	return buffer->memory + roll(me, buffer->length / page) * page;
}

static struct buffer *any_buffer(struct fighter *me)
{
	return &me->storm->buffers[roll(me, BUFFERS)];
}

static struct buffer *any_wild(struct fighter *me)
{
	return &me->storm->buffers[WILD + roll(me, BUFFERS - WILD)];
}

/*
 * Write faults, as fast as they come, into what others give away and get back: the page is
 * let go at once, for the next one to fault again.
 */
void wild_write(struct fighter *me)
{
	struct buffer *buffer = any_wild(me);
	char *to = any_page(me, buffer);
	const char byte = 1;

	if (wild_copy(to, &byte, 1) && roll(me, 8))
		madvise(to, me->storm->t->page, MADV_DONTNEED);
}

static void expect(struct fighter *me, int err, int excuse)
{
	if (err && err != excuse)
		count(&me->storm->refused);
}

#define TRIMS		8

/*
 * The superblock that was freed last goes back to the system. After a few the pool fills
 * again. Only the last pool, so that the first CPU has nothing else to do.
 */
static void trim(struct fighter *me)
{
	struct storm *storm = me->storm;
	struct bitmem_compact arg = {
		.size = sizeof(arg), .index = storm->t->pools - 1,
		.budget = storm->t->superblock,
	};

	expect(me, bt_ioctl(storm->fd, BITMEM_TRIM, &arg), 0);
	if (!roll(me, TRIMS))
		expect(me, set_pool(&storm->nl, arg.index, storm_target(storm, arg.index), 0), 0);
}

/* All of a wild buffer, or some pages of it, go, to the system if that is possible; and come. */
void wild_churn(struct fighter *me)
{
	struct storm *storm = me->storm;
	struct buffer *buffer = any_wild(me);
	const size_t page = storm->t->page;
	size_t from = 0, length = buffer->length;
	struct bitmem_range range;

	if (!roll(me, 3)) {
		from = roll(me, buffer->length / page) * page;
		length = (1 + roll(me, (buffer->length - from) / page)) * page;
	}
	expect(me, bt_range(storm->fd, BITMEM_DECOMMIT, buffer->alloc.out_id, from, length,
			    &range), -ENOMEM);
	if (storm->trims)
		trim(me);
	expect(me, bt_range(storm->fd, BITMEM_COMMIT, buffer->alloc.out_id, 0, buffer->length,
			    &range), -ENOMEM);
}

void wild_compact(struct fighter *me)
{
	const struct bt *t = me->storm->t;
	struct bitmem_compact out;

	expect(me, bt_compact(me->storm->fd, roll(me, t->pools),
			      roll(me, 2) * 64 * t->page, &out), -ENOMEM);
	bt_sleep_ms(roll(me, 5));
}

void wild_migrate(struct fighter *me)
{
	const struct bt *t = me->storm->t;
	struct bitmem_migrate out;

	expect(me, bt_migrate(me->storm->fd, any_buffer(me)->alloc.out_id,
			      t->before[roll(me, t->pools)].out_node, &out), -ENOMEM);
	bt_sleep_ms(roll(me, 10));
}

/* Pages go into a pipe, stay for a moment, and are dropped. */
void wild_splice(struct fighter *me)
{
	const size_t page = me->storm->t->page;
	char sink[4096];
	struct iovec iov;
	ssize_t in;

	iov = (struct iovec){ any_page(me, any_buffer(me)), (1 + roll(me, 3)) * page };
	in = vmsplice(me->pipe[1], &iov, 1, SPLICE_F_NONBLOCK);
	bt_sleep_ms(roll(me, 3));
	while (in > 0) {
		ssize_t out = read(me->pipe[0], sink, sizeof(sink));

		if (out <= 0)
			break;
		in -= out;
	}
}

void wild_lock(struct fighter *me)
{
	struct buffer *buffer = any_buffer(me);
	char *from = any_page(me, buffer);
	const size_t page = me->storm->t->page;
	const size_t most = (buffer->memory + buffer->length - from) / page;
	const size_t length = (1 + roll(me, most)) * page;

	/* It faults in what is there, and fails where nothing is. */
	mlock(from, length);
	munlock(from, length);
}

/* A child that writes like the others, and is killed while it does; or goes by itself. */
void wild_fork(struct fighter *me)
{
	const bool killed = roll(me, 2);
	pid_t child = fork();
	int i, status;

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < 200 || killed; i++)
			wild_write(me);
		_exit(0);
	}
	if (child < 0)
		return;
	if (killed) {
		bt_sleep_ms(1 + roll(me, 30));
		kill(child, SIGKILL);
	}
	status = bt_reap(child);
	if (status != (killed ? 256 + SIGKILL : 0))
		count(&me->storm->refused);
}

/* The calling thread, and those that it starts, stay on the first CPU, or on the last one. */
void wild_stay(bool first)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(first ? 0 : sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

#define INTERRUPTION_NS		15000000

/* Lets the first CPU's others go on for a moment, and then keeps it from them for a while. */
void wild_interrupt(struct fighter *me)
{
	const struct sched_param prio = { .sched_priority = 1 };
	struct timespec pause = { .tv_nsec = 50000 + roll(me, 1000000) };
	uint64_t end;

	wild_stay(true);
	/* Without the right to that it is one more thread that is there at times. */
	sched_setscheduler(0, SCHED_FIFO, &prio);
	nanosleep(&pause, NULL);
	end = bt_now_ns() + INTERRUPTION_NS;
	while (bt_now_ns() < end)
		;
}
