/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork(), in a process with contexts.
 *
 * A keeper, or whoever measures the pressure, may hold a lock just when somebody forks, who then
 * would find it locked in the child for ever. So fork() first waits until each keeper is
 * between two things and all contexts' locks are free. What fork() calls gets no argument:
 * hence the list of the contexts.
 */
#include "context.h"
#include "pools/relief.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bitmem *first;

static void before(void)
{
	bm_relief_lock();
	pthread_mutex_lock(&lock);
	for (struct bitmem *ctx = first; ctx; ctx = ctx->keeper.next)
		bm_keeper_before_fork(ctx);
}

static void in_parent(void)
{
	for (struct bitmem *ctx = first; ctx; ctx = ctx->keeper.next)
		bm_keeper_after_fork(ctx);
	pthread_mutex_unlock(&lock);
	bm_relief_unlock();
}

static void in_child(void)
{
	for (struct bitmem *ctx = first; ctx; ctx = ctx->keeper.next)
		bm_keeper_in_child(ctx);
	pthread_mutex_unlock(&lock);
	bm_relief_unlock();
}

int bm_fork_set_up(void)
{
	return pthread_atfork(before, in_parent, in_child);
}

void bm_fork_enter(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;

	pthread_mutex_lock(&lock);
	keeper->next = first;
	if (first)
		first->keeper.link = &keeper->next;
	keeper->link = &first;
	first = ctx;
	pthread_mutex_unlock(&lock);
}

void bm_fork_leave(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;

	pthread_mutex_lock(&lock);
	*keeper->link = keeper->next;
	if (keeper->next)
		keeper->next->keeper.link = keeper->link;
	pthread_mutex_unlock(&lock);
}
