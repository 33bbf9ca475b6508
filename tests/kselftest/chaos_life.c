// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a process of the chaos test: actions at random, on buffers in a few
 * places. It keeps nothing in order, for it does not end by itself.
 */
#include "bitmem_dmabuf.h"
#include "chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PLACES	12

/* A buffer: of this file or of one that another process sent. */
struct place {
	int fd;
	uint32_t id;
	char *memory;
	size_t length;
};

struct life {
	struct chaos *chaos;
	unsigned int number;
	unsigned int seed;
	int fd;
	int disk;
	int long_pin;
	int pipe[2];
	struct place places[PLACES];
};

static sigjmp_buf bail;

/* Somebody else may have decommitted what we touch. */
static void on_bus(int signal)
{
	siglongjmp(bail, signal);
}

static unsigned int roll(struct life *me, unsigned int sides)
{
	return rand_r(&me->seed) % sides;
}

static struct place *any_place(struct life *me)
{
	return &me->places[roll(me, PLACES)];
}

static struct place *mapped_place(struct life *me)
{
	struct place *place = any_place(me);

	return place->memory ? place : NULL;
}

/* Some pages of a place. */
static void any_range(struct life *me, const struct place *place, size_t *from, size_t *length)
{
	const size_t page = me->chaos->t->page, pages = place->length / page;
	const size_t first = roll(me, pages);

	*from = first * page;
	*length = (1 + roll(me, pages - first)) * page;
}

static void drop(struct life *me, struct place *place)
{
	const bool map_first = roll(me, 2);

	if (place->memory && map_first)
		munmap(place->memory, place->length);
	if (place->id)
		bt_free(place->fd, place->id);
	if (place->memory && !map_first)
		munmap(place->memory, place->length);
	if (place->fd != me->fd && place->fd > 0)
		close(place->fd);
	*place = (struct place){ .fd = me->fd };
}

static int fill(struct life *me, struct place *place, int fd, uint32_t id, uint64_t offset,
		size_t length)
{
	drop(me, place);
	*place = (struct place){ fd, id, bt_map(fd, length, offset), length };
	return place->memory ? 0 : -errno;
}

static int act_alloc(struct life *me)
{
	const struct bt *t = me->chaos->t;
	const size_t length = roll(me, 4) * t->superblock + (1 + roll(me, 60)) * t->page;
	struct bitmem_alloc alloc;
	int err = bt_alloc(me->fd, length, &alloc);

	return err ?: fill(me, any_place(me), me->fd, alloc.out_id, alloc.out_offset,
			   alloc.out_length);
}

static int act_anonymous(struct life *me)
{
	return fill(me, any_place(me), me->fd, 0, 0,
		    (1 + roll(me, 600)) * me->chaos->t->page);
}

static int act_touch(struct life *me)
{
	struct place *place = mapped_place(me);
	size_t from, length;

	if (!place)
		return 0;
	any_range(me, place, &from, &length);
	if (!sigsetjmp(bail, 0))
		bt_touch(place->memory + from, length, me->chaos->t->page);
	return 0;
}

static int act_free(struct life *me)
{
	drop(me, any_place(me));
	return 0;
}

static int act_commit(struct life *me)
{
	struct place *place = any_place(me);
	struct bitmem_range out;
	size_t from, length;

	if (!place->id)
		return 0;
	any_range(me, place, &from, &length);
	return bt_range(place->fd, roll(me, 2) ? BITMEM_COMMIT : BITMEM_DECOMMIT, place->id, from,
			length, &out);
}

static int act_send(struct life *me)
{
	struct place *place = any_place(me);
	int sock = me->chaos->ring[me->number][1], fd, err;

	if (!place->id || roll(me, 3) == 0)
		return bt_send_fd(sock, me->fd);
	fd = bt_export(place->fd, place->id, 0);
	if (fd < 0)
		return fd;
	err = bt_send_fd(sock, fd);
	close(fd);
	return err;
}

/* A device's file, or a dma-buf: some buffer of it. */
static int act_receive(struct life *me)
{
	int sock = me->chaos->ring[(me->number + PROCESSES - 1) % PROCESSES][0];
	struct bitmem_query query;
	struct bitmem_import import;
	int fd = bt_receive_fd(sock), err;
	struct stat stat;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &stat) && S_ISCHR(stat.st_mode)) {
		err = bt_query(fd, roll(me, 4), BITMEM_QUERY_NEXT, &query);
		if (!err)
			return fill(me, any_place(me), fd, query.out_id, query.out_offset,
				    query.out_length);
	} else {
		err = bt_import(me->fd, fd, &import);
		if (!err)
			err = fill(me, any_place(me), me->fd, import.out_id, import.out_offset,
				   import.out_length);
	}
	close(fd);
	return err;
}

static int act_name(struct life *me)
{
	struct place *place = any_place(me);
	struct bitmem_attach attach;
	char name[BITMEM_NAME_LEN] = "";
	int err;

	snprintf(name, sizeof(name), "chaos-%u", roll(me, 6));
	if (place->id && roll(me, 2))
		return bt_publish(place->fd, place->id, name, 0600);
	err = bt_attach(me->fd, BITMEM_UID_SELF, name, 0, &attach);
	return err ?: fill(me, place, me->fd, attach.out_id, attach.out_offset,
			   attach.out_length);
}

static int act_splice(struct life *me)
{
	struct place *place = mapped_place(me);
	struct iovec iov;
	char sink[4096];
	size_t from;

	if (!place)
		return 0;
	if (roll(me, 3) == 0) {
		while (read(me->pipe[0], sink, sizeof(sink)) > 0)
			;
		return 0;
	}
	any_range(me, place, &from, &iov.iov_len);
	iov.iov_base = place->memory + from;
	return vmsplice(me->pipe[1], &iov, 1, SPLICE_F_NONBLOCK) < 0 ? -errno : 0;
}

static int act_pin_long(struct life *me)
{
	struct place *place = mapped_place(me);
	size_t from, length;

	if (me->long_pin >= 0) {
		bt_unpin_long(me->long_pin);
		me->long_pin = -1;
		return 0;
	}
	if (!place)
		return 0;
	any_range(me, place, &from, &length);
	me->long_pin = bt_pin_long(place->memory + from, length);
	return me->long_pin < 0 ? me->long_pin : 0;
}

static int act_read(struct life *me)
{
	struct place *place = mapped_place(me);
	size_t from, length;

	if (!place || me->disk < 0)
		return 0;
	any_range(me, place, &from, &length);
	return pread(me->disk, place->memory + from, length, 0) < 0 ? -errno : 0;
}

static int act_move(struct life *me)
{
	const struct bt *t = me->chaos->t;
	const uint32_t index = roll(me, t->pools);
	struct place *place = any_place(me);
	struct bitmem_migrate migrate;
	struct bitmem_compact compact;

	if (!place->id || roll(me, 3) == 0)
		return bt_compact(me->fd, index, 256 * t->page, &compact);
	return bt_migrate(place->fd, place->id, t->before[index].out_node, &migrate);
}

static int (*const actions[ACTIONS])(struct life *me) = {
	act_alloc, act_anonymous, act_touch, act_free, act_commit, act_send,
	act_receive, act_name, act_splice, act_pin_long, act_read, act_move,
};

const char *const chaos_names[ACTIONS] = {
	"alloc", "anonymous", "touch", "free", "commit", "send",
	"receive", "name", "splice", "pin", "read", "move",
};

/* What may happen to anybody among others who do as they please. */
static bool is_usual(int err)
{
	switch (-err) {
	case 0:
	case EACCES:		/* a name's mode */
	case EAGAIN:		/* nothing to receive, no room to send */
	case EBUSY:
	case EEXIST:		/* a name */
	case EFAULT:		/* DMA to what is decommitted */
	case EINVAL:		/* part of a buffer that is contiguous */
	case EMFILE:		/* too many descriptors on their way, or here */
	case ENOENT:		/* somebody else freed it */
	case ENOMEM:
	case ENXIO:		/* likewise */
	case EOPNOTSUPP:	/* a long-term pin, before Linux 6.5 */
	case ETOOMANYREFS:
	case EPIPE:		/* the other one was killed */
	case ECONNRESET:
		return true;
	default:
		return false;
	}
}

void chaos_live(struct chaos *chaos, unsigned int number, unsigned int seed)
{
	struct life me = { .chaos = chaos, .number = number, .seed = seed, .long_pin = -1 };
	const struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };
	bool ours;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	me.fd = bt_open();
	me.disk = bt_disk(&ours);
	if (me.fd < 0 || pipe2(me.pipe, O_NONBLOCK | O_CLOEXEC))
		_exit(1);
	for (i = 0; i < PLACES; i++)
		me.places[i].fd = me.fd;
	for (;;) {
		const unsigned int what = roll(&me, ACTIONS);

		if (!is_usual(actions[what](&me)))
			__atomic_fetch_add(&chaos->odd[what], 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&chaos->did[what], 1, __ATOMIC_RELAXED);
	}
}
