/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Leaks planted on purpose, ten kinds of them, each in a program of its own that ends without
 * knowing: all are told of at the end, with the line that allocated.
 */
#include <linux/limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <linux/bitmem.h>

#include <bitmem/share.h>

#include "track_test.h"

/* What a program is to be told of. */
struct planted {
	unsigned int line;
	json_int_t live, bytes, views;
	const char *what;
};

/* Notes the line before the one that it stands on, for the test. */
static struct planted *expected;
static int nr_expected;

#define PLANT(live_, bytes_, views_, what_)                                                        \
	(expected[nr_expected++] =                                                                 \
		 (struct planted){ __LINE__ - 1, live_, bytes_, views_, what_ })

static const uint64_t hundred = 100, ten = 10;

static struct bitmem_tensor *lost;

static int lost_handle(struct bitmem *ctx)
{
	for (int i = 0; i < 3; i++)
		lost = bitmem_tensor_new(ctx, BITMEM_F32, 1, &hundred);
	PLANT(2, 800, 0, "tensor");
	bitmem_tensor_unref(lost);
	return 0;
}

static int forgotten_ref(struct bitmem *ctx)
{
	struct bitmem_tensor *t, *good;

	good = bitmem_tensor_new(ctx, BITMEM_U8, 1, &hundred);
	t = bitmem_tensor_new(ctx, BITMEM_I4, 1, &hundred);
	PLANT(1, 50, 0, "tensor");
	bitmem_tensor_ref(t);
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(good);
	return 0;
}

/* Each of two objects keeps a view of the other's memory. */
struct node {
	struct bitmem_tensor *own, *of_other;
};

static int cycle_of_views(struct bitmem *ctx)
{
	struct node nodes[2];

	for (int i = 0; i < 2; i++)
		nodes[i].own = bitmem_tensor_new(ctx, BITMEM_U8, 1, &hundred);
	PLANT(2, 200, 0, "tensor");
	for (int i = 0; i < 2; i++)
		nodes[i].of_other = bitmem_tensor_view(nodes[!i].own, BITMEM_U8, 1, &ten, 0);
	PLANT(0, 0, 2, "view");
	bitmem_tensor_unref(nodes[0].own);
	bitmem_tensor_unref(nodes[1].own);
	return 0;
}

static int load(struct bitmem *ctx, bool fail)
{
	void *header = bitmem_alloc(ctx, 64, 0), *body;

	body = bitmem_zalloc(ctx, 100000, 0);
	if (fail) {
		PLANT(1, 100000, 0, "block");
		expected[nr_expected - 1].line = __LINE__ - 3;
		bitmem_free(ctx, header);
		return -1;
	}
	bitmem_free(ctx, body);
	bitmem_free(ctx, header);
	return 0;
}

static int error_path(struct bitmem *ctx)
{
	return load(ctx, false) || !load(ctx, true);
}

static __thread struct bitmem_tensor *of_thread;

static void *thread_main(void *ctx)
{
	of_thread = bitmem_tensor_new(ctx, BITMEM_F64, 1, &hundred);
	PLANT(1, 800, 0, "tensor");
	bitmem_free(ctx, bitmem_alloc(ctx, 800, 0));
	return NULL;
}

static int thread_exit(struct bitmem *ctx)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, thread_main, ctx) || pthread_join(thread, NULL);
}

static struct bitmem_tensor *escaped;

static int scope_escape(struct bitmem *ctx)
{
	for (int i = 0; i < 5; i++) {
		bitmem_auto struct bitmem_tensor *t =
			bitmem_tensor_empty(ctx, BITMEM_U8, 1, &hundred);
		PLANT(1, 100, 0, "tensor");
		if (i)
			nr_expected--;
		else
			escaped = bitmem_tensor_ref(t);
	}
	return 0;
}

static int sockets[2];

static struct bitmem_tensor *sent;

static int exported_fd(struct bitmem *ctx)
{
	sent = bitmem_tensor_new_shareable(ctx, BITMEM_U8, 1, &hundred);
	PLANT(1, 100, 0, "shared tensor");
	return socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) || bitmem_tensor_send(sockets[0], sent);
}

/* The library's descriptor of the device, as whoever looks finds it. */
static int device_fd(void)
{
	const char *device = getenv("BITMEM_DEVICE");
	char path[32], target[PATH_MAX];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = 0;
		if (!strcmp(target, device ? device : "/dev/bitmem"))
			return fd;
	}
	return -1;
}

static int published_name(struct bitmem *ctx)
{
	struct bitmem_query query = { .size = sizeof(query), .flags = BITMEM_QUERY_NEXT };
	struct bitmem_publish publish = { .size = sizeof(publish), .mode = 0600 };
	struct bitmem_audit audit = { .size = sizeof(audit) };
	struct bitmem_tensor *t;
	int fd = device_fd();

	t = bitmem_tensor_new_shareable(ctx, BITMEM_U8, 1, &hundred);
	PLANT(1, 100, 0, "tensor");
	snprintf((char *)publish.name, sizeof(publish.name), "planted-%d", (int)getpid());
	while (!ioctl(fd, BITMEM_QUERY, &query) && strcmp((char *)query.out_tag, "shareable"))
		query.id = query.out_id;
	publish.id = query.out_id;
	if (ioctl(fd, BITMEM_PUBLISH, &publish))
		return 2;
	/* The name holds it for others; the audit knows that there is one. */
	return !t || bitmem_audit(ctx, &audit) || audit.named != 1;
}

/* Memory that was made for another process, which is killed: nobody drops it any more. */
static int killed_process(struct bitmem *ctx)
{
	struct bitmem_tensor *t;
	char byte;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return 1;
	t = bitmem_tensor_new_shareable(ctx, BITMEM_U8, 1, &hundred);
	PLANT(1, 100, 0, "shared tensor");
	pid = fork();
	if (!pid) {
		struct bitmem *own = test_open(2 * MIB);
		struct bitmem_tensor *got = bitmem_tensor_receive(own, sockets[1], NULL);

		/* Its own are gone with it, and are nobody's leak. */
		bitmem_alloc(own, 12345, 0);
		if (got && write(sockets[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	if (bitmem_tensor_send(sockets[0], t) || read(sockets[0], &byte, 1) != 1)
		return 2;
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) != pid;
}

/* A child that goes on with the context, and one with a context of its own. */
static int forked_child(struct bitmem *ctx)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		bitmem_alloc(ctx, 2000, 0);
		exit(0);
	}
	PLANT(1, 2000, 0, "block");
	expected[nr_expected - 1].line = __LINE__ - 4;
	if (waitpid(pid, &status, 0) != pid || status)
		return 1;
	pid = fork();
	if (!pid) {
		bitmem_alloc(test_open(2 * MIB), 3000, 0);
		exit(0);
	}
	PLANT(1, 3000, 0, "block");
	expected[nr_expected - 1].line = __LINE__ - 4;
	return waitpid(pid, &status, 0) != pid || status;
}

/* --- the test's side --- */

typedef int (*plant_fn)(struct bitmem *ctx);

/* Shared with the program, which fills it in. */
struct page {
	int n;
	struct planted expected[8];
};

struct job {
	plant_fn plant;
	bool close;
	struct page *page;
};

static int run(void *arg)
{
	const struct job *job = arg;
	struct bitmem *ctx = test_open(2 * MIB);
	void *good;
	int ret;

	if (!ctx)
		return 100;
	expected = job->page->expected;
	good = bitmem_alloc(ctx, 5000, 0);
	bitmem_free(ctx, good);
	ret = job->plant(ctx);
	job->page->n = nr_expected;
	if (job->close)
		bitmem_close(ctx);
	return ret;
}

static bool is_it(const json_t *place, const struct planted *p)
{
	const char *file = json_string_value(json_object_get(place, "file"));
	const char *what = json_string_value(json_object_get(place, "what"));

	return file && what && strstr(file, "planted.c") && !strcmp(what, p->what) &&
	       json_integer_value(json_object_get(place, "line")) == p->line &&
	       json_integer_value(json_object_get(place, "live")) == p->live &&
	       json_integer_value(json_object_get(place, "bytes")) == p->bytes &&
	       json_integer_value(json_object_get(place, "views")) == p->views;
}

/* Takes what is told of off the page. The number of places that were not expected. */
static int settle(const char *text, struct page *page)
{
	int others = 0;

	while (*text) {
		size_t length = strcspn(text, "\n");
		json_t *root = json_loadb(text, length, 0, NULL), *place;
		size_t i;

		if (!root)
			return -1;
		json_array_foreach(json_object_get(root, "places"), i, place) {
			int p = 0;

			while (p < page->n && !is_it(place, &page->expected[p]))
				p++;
			if (p == page->n)
				others++;
			else
				page->expected[p] = page->expected[--page->n];
		}
		json_decref(root);
		text += length + (text[length] == '\n');
	}
	return others;
}

static void find(struct __test_metadata *_metadata, plant_fn plant, bool close)
{
	struct page *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0);
	struct job job = { .plant = plant, .close = close, .page = page };
	struct track_child child;

	ASSERT_NE(MAP_FAILED, page);
	child = track_run("json", run, &job);
	EXPECT_EQ(0, child.status);
	EXPECT_LT(0, page->n);
	EXPECT_EQ(0, settle(child.text, page)) TH_LOG("%s", child.text);
	EXPECT_EQ(0, page->n) TH_LOG("%s", child.text);
	free(child.text);
	munmap(page, 4096);
}

FIXTURE(planted)
{
	bool device;
};

FIXTURE_SETUP(planted)
{
	struct bitmem *ctx = test_open(2 * MIB);

	if (!ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, ctx);
	self->device = bitmem_backend(ctx) == BITMEM_BACKEND_DEVICE;
	bitmem_close(ctx);
}

FIXTURE_TEARDOWN(planted)
{
}

/* Told of at exit, and at the end of the context. */
#define TEST_PLANTED(kind)                                                                         \
	TEST_F(planted, kind)                                                                      \
	{                                                                                          \
		find(_metadata, kind, false);                                                      \
		find(_metadata, kind, true);                                                       \
	}

TEST_PLANTED(lost_handle)
TEST_PLANTED(forgotten_ref)
TEST_PLANTED(cycle_of_views)
TEST_PLANTED(error_path)
TEST_PLANTED(thread_exit)
TEST_PLANTED(scope_escape)
TEST_PLANTED(exported_fd)
TEST_PLANTED(killed_process)
TEST_PLANTED(forked_child)

TEST_F(planted, published_name)
{
	if (!self->device)
		SKIP(return, "names are the device's");
	find(_metadata, published_name, false);
	find(_metadata, published_name, true);
}

TEST_HARNESS_MAIN
