/* SPDX-License-Identifier: GPL-2.0 */
/* Reports: what they say, when, and where they go. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "track_test.h"

enum { EXIT_LEAK = 1, CLOSE_LEAK, NO_LEAK, NO_CLOSE, FORK_CLEAN, FORK_LEAK, OUTLIVES, BAD, TWO };

static void *leak(struct bitmem *ctx, size_t size)
{
	return bitmem_alloc(ctx, size, 0);
}
enum { LEAK_LINE = __LINE__ - 2 };

/* A child that has the parent's context, and leaks or not into it. Returns with it. */
static int run_fork(struct bitmem *ctx, bool leaks)
{
	void *own = leak(ctx, 111);
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (leaks)
			leak(ctx, 222);
		else
			bitmem_free(ctx, leak(ctx, 222));
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return 2;
	return bitmem_free(ctx, own) || bitmem_close(ctx) ? 3 : 0;
}

static int run_outlives(struct bitmem *ctx)
{
	const uint64_t shape = 333;
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, &shape);

	if (!t || bitmem_close(ctx) != 1)
		return 4;
	memset(bitmem_tensor_data(t), 1, shape);
	bitmem_tensor_unref(t);
	return 0;
}

/* What a child does. */
static int run(void *arg)
{
	const long what = (long)(intptr_t)arg;
	struct bitmem_error error = { 0 };
	struct bitmem_options options;
	struct bitmem *ctx;
	void *block;

	bitmem_options_init(&options);
	options.segment_size = 2 * MIB;
	options.error = &error;
	ctx = bitmem_open(&options);
	if (what == BAD)
		return ctx || errno != EINVAL || !strstr(error.text, "BITMEM_LEAKS");
	if (!ctx)
		return 1;
	switch (what) {
	case EXIT_LEAK:
		leak(ctx, 1000);
		return 0;
	case CLOSE_LEAK:
		leak(ctx, 1000);
		leak(ctx, 500);
		return bitmem_close(ctx) != 2;
	case TWO:
		leak(ctx, 1000);
		leak(test_open(2 * MIB), 500);
		return 0;
	case NO_LEAK:
		block = leak(ctx, 1000);
		return bitmem_free(ctx, block) || bitmem_close(ctx);
	case NO_CLOSE:
		return bitmem_free(ctx, leak(ctx, 1000));
	case OUTLIVES:
		return run_outlives(ctx);
	default:
		return run_fork(ctx, what == FORK_LEAK);
	}
}

#define RUN(leaks, what) track_run(leaks, run, (void *)(intptr_t)(what))

FIXTURE(report) { int unused; };

FIXTURE_SETUP(report)
{
	struct bitmem *ctx = test_open(2 * MIB);

	if (!ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, ctx);
	bitmem_close(ctx);
}

FIXTURE_TEARDOWN(report)
{
}

TEST_F(report, says_nothing)
{
	static const struct {
		const char *leaks;
		long what;
	} cases[] = {
		{ NULL, EXIT_LEAK }, { NULL, CLOSE_LEAK }, { "", EXIT_LEAK }, { "0", EXIT_LEAK },
		{ "1", NO_LEAK }, { "1", NO_CLOSE }, { "json", NO_LEAK }, { "json", NO_CLOSE },
		{ "text", NO_LEAK }, { "1", FORK_CLEAN }, { "json", FORK_CLEAN },
		{ "json:/nowhere/at/all", NO_LEAK }, { "text:/nowhere/at/all", NO_CLOSE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct track_child child = RUN(cases[i].leaks, cases[i].what);

		EXPECT_EQ(0, child.status) TH_LOG("case %zu", i);
		EXPECT_EQ(0, strcmp("", child.text)) TH_LOG("case %zu: %s", i, child.text);
		free(child.text);
	}
}

TEST_F(report, bad_values)
{
	static const char *const values[] = { "2", "yes", "jso", "jsonx", "json:", "text:", ":",
					      "1:/tmp/x", ":/tmp/x", "JSON", " 1" };

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct track_child child = RUN(values[i], BAD);

		EXPECT_EQ(0, child.status) TH_LOG("%s", values[i]);
		EXPECT_EQ(0, strcmp("", child.text));
		free(child.text);
	}
}

TEST_F(report, text)
{
	char line[64];
	struct track_child child = RUN("1", CLOSE_LEAK);

	EXPECT_EQ(0, child.status);
	snprintf(line, sizeof(line), "leak_report.c:%d leak", LEAK_LINE);
	EXPECT_NE(NULL, strstr(child.text, ", close: still held: 2 live, 1500 bytes\n"));
	EXPECT_NE(NULL, strstr(child.text, "  2 live, 1500 bytes, oldest "));
	EXPECT_NE(NULL, strstr(child.text, line)) TH_LOG("%s", child.text);
	EXPECT_NE(NULL, strstr(child.text, "(block)"));
	free(child.text);
	child = RUN("text", EXIT_LEAK);
	EXPECT_EQ(0, child.status);
	EXPECT_NE(NULL, strstr(child.text, ", exit: still held: 1 live, 1000 bytes\n"));
	EXPECT_NE(NULL, strstr(child.text, line));
	free(child.text);
}

/* A tensor that outlives its context is told of, and works as before. */
TEST_F(report, outlives)
{
	struct track_child child = RUN("1", OUTLIVES);

	EXPECT_EQ(0, child.status);
	EXPECT_NE(NULL, strstr(child.text, "close: still held: 1 live, 333 bytes\n"));
	EXPECT_NE(NULL, strstr(child.text, "(tensor, U8)")) TH_LOG("%s", child.text);
	free(child.text);
}

/* In a child of the program: what itself allocated, and not what its parent had. */
TEST_F(report, forked)
{
	struct track_child child = RUN("1", FORK_LEAK);

	EXPECT_EQ(0, child.status);
	EXPECT_NE(NULL, strstr(child.text, "exit: still held: 1 live, 222 bytes\n"))
		TH_LOG("%s", child.text);
	EXPECT_EQ(NULL, strstr(child.text, "111"));
	free(child.text);
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void expect_json(struct __test_metadata *_metadata, const char *text, const char *when,
			json_int_t live, json_int_t bytes)
{
	json_t *root = json_loads(text, 0, NULL), *place;

	ASSERT_NE(NULL, root) TH_LOG("%s", text);
	EXPECT_EQ(strlen(text) - 1, strcspn(text, "\n"));
	EXPECT_EQ(0, strcmp("leaks", string(root, "bitmem")));
	EXPECT_EQ(0, strcmp(when, string(root, "when")));
	EXPECT_LT(0, number(root, "pid"));
	EXPECT_EQ(live, number(root, "live"));
	EXPECT_EQ(bytes, number(root, "bytes"));
	EXPECT_EQ(0, number(root, "views"));
	ASSERT_EQ(1, json_array_size(json_object_get(root, "places")));
	place = json_array_get(json_object_get(root, "places"), 0);
	EXPECT_NE(NULL, strstr(string(place, "file"), "leak_report.c"));
	EXPECT_EQ(LEAK_LINE, number(place, "line"));
	EXPECT_EQ(0, strcmp("leak", string(place, "function")));
	EXPECT_EQ(0, strcmp("block", string(place, "what")));
	EXPECT_EQ(live, number(place, "live"));
	EXPECT_EQ(bytes, number(place, "bytes"));
	EXPECT_EQ(2, json_array_size(json_object_get(place, "oldest_ns")));
	json_decref(root);
}

TEST_F(report, json)
{
	struct track_child child = RUN("json", CLOSE_LEAK);

	EXPECT_EQ(0, child.status);
	expect_json(_metadata, child.text, "close", 2, 1500);
	free(child.text);
	child = RUN("json", EXIT_LEAK);
	EXPECT_EQ(0, child.status);
	expect_json(_metadata, child.text, "exit", 1, 1000);
	free(child.text);
}

static char *contents(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 65536);

	if (file && text)
		text[fread(text, 1, 65535, file)] = 0;
	if (file)
		fclose(file);
	return text;
}

TEST_F(report, to_a_file)
{
	char path[] = "/tmp/bitmem-report-XXXXXX", value[64], *text, *second;
	struct track_child child;
	struct stat st;
	int fd = mkstemp(path);

	ASSERT_LE(0, fd);
	close(fd);
	unlink(path);
	snprintf(value, sizeof(value), "json:%s", path);
	child = RUN(value, NO_LEAK);
	EXPECT_EQ(0, child.status);
	EXPECT_EQ(-1, access(path, F_OK));
	free(child.text);
	/* One line for each context; what was there stays. */
	child = RUN(value, EXIT_LEAK);
	EXPECT_EQ(0, child.status);
	EXPECT_EQ(0, strcmp("", child.text));
	free(child.text);
	child = RUN(value, TWO);
	EXPECT_EQ(0, child.status);
	free(child.text);
	text = contents(path);
	ASSERT_NE(NULL, text);
	second = strchr(text, '\n');
	ASSERT_NE(NULL, second);
	EXPECT_EQ(0, stat(path, &st));
	EXPECT_EQ(0600, st.st_mode & 07777);
	EXPECT_NE(NULL, strchr(second + 1, '\n'));
	second[1] = 0;
	expect_json(_metadata, text, "exit", 1, 1000);
	free(text);
	unlink(path);
	/* Not through a link that somebody left there. */
	ASSERT_EQ(0, symlink("/dev/null", path));
	child = RUN(value, EXIT_LEAK);
	EXPECT_EQ(0, child.status);
	EXPECT_NE(NULL, strstr(child.text, path)) TH_LOG("%s", child.text);
	free(child.text);
	unlink(path);
}

TEST_F(report, on_call)
{
	struct bitmem *ctx = track_open(BITMEM_TRACKING_FULL);
	int fd = memfd_create("report", 0), full = open("/dev/full", O_WRONLY);
	void *block = leak(ctx, 1000);
	char text[8192] = "";
	json_t *root, *stack;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, bitmem_leaks_report(ctx, fd, (enum bitmem_report_format)2));
	EXPECT_EQ(-EBADF, bitmem_leaks_report(ctx, -1, BITMEM_REPORT_TEXT));
	EXPECT_EQ(-ENOSPC, bitmem_leaks_report(ctx, full, BITMEM_REPORT_JSON));
	EXPECT_EQ(0, bitmem_leaks_report(ctx, fd, BITMEM_REPORT_TEXT));
	EXPECT_LT(0, pread(fd, text, sizeof(text) - 1, 0));
	EXPECT_NE(NULL, strstr(text, "call: still held: 1 live, 1000 bytes\n"));
	EXPECT_NE(NULL, strstr(text, "      #0 0x"));
	EXPECT_EQ(0, ftruncate(fd, 0));
	lseek(fd, 0, SEEK_SET);
	memset(text, 0, sizeof(text));
	EXPECT_EQ(0, bitmem_leaks_report(ctx, fd, BITMEM_REPORT_JSON));
	EXPECT_LT(0, pread(fd, text, sizeof(text) - 1, 0));
	root = json_loads(text, 0, NULL);
	ASSERT_NE(NULL, root);
	stack = json_object_get(json_array_get(json_object_get(root, "places"), 0), "stack");
	EXPECT_LT(1, json_array_size(stack));
	EXPECT_NE(0, strcmp("", string(json_array_get(stack, 0), "address")));
	EXPECT_NE(0, strcmp("", string(json_array_get(stack, 0), "symbol")));
	json_decref(root);
	EXPECT_EQ(0, bitmem_free(ctx, block));
	/* Nothing is nothing, also where nothing could be written. */
	EXPECT_EQ(0, bitmem_leaks_report(ctx, full, BITMEM_REPORT_TEXT));
	EXPECT_EQ(0, bitmem_close(ctx));
	close(full);
	close(fd);
}

TEST_HARNESS_MAIN
