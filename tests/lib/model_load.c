/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The course of a load: progress, cancelling, files that change meanwhile,
 * options, and what is said of paths that cannot be opened.
 */
#include "model_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA 1000003u

/* What a progress callback saw, and what it is to do. */
struct watch {
	unsigned int calls, ends, cancel_at; /* 0: never */
	uint64_t last;
	unsigned int last_files;
	struct bitmem_progress final;
	bool wrong;
	const char *cut;	/* file to be cut to @cut_to bytes at call @cut_at */
	unsigned int cut_at;
	off_t cut_to;
};

static int watch(const struct bitmem_progress *progress, void *arg)
{
	struct watch *w = arg;

	w->calls++;
	w->ends += progress->done == progress->total;
	w->wrong |= progress->done < w->last || progress->done > progress->total ||
		    progress->files_done < w->last_files ||
		    progress->files_done > progress->files;
	w->last = progress->done;
	w->last_files = progress->files_done;
	w->final = *progress;
	if (w->cut && w->calls == w->cut_at)
		w->wrong |= truncate(w->cut, w->cut_to) != 0;
	return w->calls == w->cancel_at;
}

static bool write_file(FIXTURE_DATA(model) *self, const char *name, const char *tensor)
{
	struct bytes b = { 0 };
	char json[256];
	bool good;

	snprintf(json, sizeof(json), "{\"%s\":{\"dtype\":\"U8\",\"shape\":[%u],"
		 "\"data_offsets\":[0,%u]}}", tensor, DATA, DATA);
	safetensors_file(&b, json, DATA);
	good = dir_write_bytes(self->dir, name, &b);
	bytes_free(&b);
	return good;
}

static struct bitmem_model *load(FIXTURE_DATA(model) *self, struct watch *w, unsigned int depth,
				 struct bitmem_error *error)
{
	const char *paths[2] = { dir_path(self->dir, "1"), dir_path(self->dir, "2") };
	struct bitmem_model_options options;

	bitmem_model_options_init(&options);
	options.progress = watch;
	options.progress_arg = w;
	options.queue_depth = depth;
	options.window = 65536;
	options.error = error;
	return bitmem_model_load_files(self->ctx, paths, 2, &options);
}

TEST_F(model, progress)
{
	ASSERT_TRUE(write_file(self, "1", "a"));
	ASSERT_TRUE(write_file(self, "2", "b"));
	for (unsigned int depth = 1; depth < 100; depth *= 5) {
		struct watch w = { 0 };
		struct bitmem_model *model = load(self, &w, depth, NULL);

		ASSERT_NE(NULL, model);
		EXPECT_FALSE(w.wrong);
		EXPECT_EQ(1, w.ends);
		EXPECT_EQ(2 * DATA, w.final.done);
		EXPECT_EQ(2 * DATA, w.final.total);
		EXPECT_EQ(2, w.final.files_done);
		EXPECT_EQ(2, w.final.files);
		EXPECT_LT(1, w.calls);
		if (depth == 1)
			EXPECT_LE(2 * DATA / 65536, w.calls);
		bitmem_model_close(model);
	}
}

/* A model without data still has its one last call. */
TEST_F(model, progress_of_nothing)
{
	struct bitmem_model_options options;
	struct bitmem_model *model;
	struct watch w = { 0 };
	struct bytes b = { 0 };

	safetensors_file(&b, "{}", 0);
	ASSERT_TRUE(dir_write_bytes(self->dir, "1", &b));
	bytes_free(&b);
	bitmem_model_options_init(&options);
	options.progress = watch;
	options.progress_arg = &w;
	model = bitmem_model_load(self->ctx, dir_path(self->dir, "1"), &options);
	ASSERT_NE(NULL, model);
	EXPECT_EQ(1, w.calls);
	EXPECT_EQ(1, w.ends);
	EXPECT_EQ(1, w.final.files_done);
	bitmem_model_close(model);
}

TEST_F(model, cancelled_at_every_call)
{
	ASSERT_TRUE(write_file(self, "1", "a"));
	ASSERT_TRUE(write_file(self, "2", "b"));
	for (unsigned int depth = 1; depth <= 32; depth *= 32) {
		struct bitmem_stats before = test_stats(self->ctx), after;
		struct bitmem_model *model = NULL;
		unsigned int cancelled = 0;
		int fds = test_fds();

		for (unsigned int at = 1; !model; at++) {
			struct watch w = { .cancel_at = at };
			struct bitmem_error error = { 0 };

			model = load(self, &w, depth, &error);
			if (model)
				break;
			cancelled++;
			ASSERT_EQ(ECANCELED, errno);
			EXPECT_EQ(-ECANCELED, error.code);
			EXPECT_NE(NULL, strstr(error.text, ": load: cancelled"));
			EXPECT_EQ(at, w.calls);
			after = test_stats(self->ctx);
			EXPECT_EQ(before.live, after.live);
			EXPECT_EQ(before.committed_bytes, after.committed_bytes);
			EXPECT_EQ(before.segments, after.segments);
			EXPECT_EQ(fds, test_fds());
		}
		EXPECT_LT(1, cancelled);
		EXPECT_TRUE(model_matches_files(model));
		bitmem_model_close(model);
	}
}

/* Cut short by someone else while it is being read: an error, not a hang, not a SIGBUS. */
TEST_F(model, cut_while_read)
{
	static const off_t lengths[] = { 0, 100, 4096, 70000, 500001, 1000000 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (unsigned int at = 1; at <= 3; at++) {
			struct bitmem_stats before = test_stats(self->ctx), after;
			struct bitmem_error error = { 0 };
			struct watch w = { .cut = dir_path(self->dir, "2"),
					   .cut_at = at,
					   .cut_to = lengths[i] };

			ASSERT_TRUE(write_file(self, "1", "a"));
			ASSERT_TRUE(write_file(self, "2", "b"));
			EXPECT_EQ(NULL, load(self, &w, 2, &error));
			EXPECT_EQ(EBADMSG, errno);
			EXPECT_NE(NULL, strstr(error.text, "/2: size: "))
				TH_LOG("%s", error.text);
			EXPECT_FALSE(w.wrong);
			after = test_stats(self->ctx);
			EXPECT_TRUE(test_stats_equal(&before, &after));
		}
	}
}

static int replace(const struct bitmem_progress *progress, void *arg)
{
	const char *const *paths = arg;

	return progress->done == 0 && rename(paths[0], paths[1]) != 0;
}

TEST_F(model, replaced_while_read)
{
	const char *paths[2] = { dir_path(self->dir, "new"), dir_path(self->dir, "1") };
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;

	ASSERT_TRUE(write_file(self, "1", "a"));
	ASSERT_TRUE(write_file(self, "new", "a"));
	bitmem_model_options_init(&options);
	options.error = &error;
	options.progress = replace;
	options.progress_arg = paths;
	EXPECT_EQ(NULL, bitmem_model_load(self->ctx, paths[1], &options));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_NE(NULL, strstr(error.text, "changed"));
}

/* What is done to a file that is being loaded, without changing its size. */
struct scribble {
	const char *path;
	uint64_t after;		/* bytes that have been read by then */
	bool hide;		/* and the mtime is set back */
	unsigned int calls;	/* of the callback, from then on */
};

static int scribble(const struct bitmem_progress *progress, void *arg)
{
	struct scribble *s = arg;
	struct timespec times[2];
	struct stat st;
	int fd;

	if (progress->done < s->after || s->calls++)
		return 0;
	fd = open(s->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || pwrite(fd, "scribble", 8, 500000) != 8)
		return 1;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (s->hide && futimens(fd, times))
		return 1;
	return close(fd);
}

/* Of the same size, and yet not the file whose header was read: before and after its open. */
TEST_F(model, changed_in_place)
{
	static const struct {
		uint64_t after;
		bool hide;
		const char *words;
	} cases[] = {
		{ 0, false, "/1: mtime: " },
		{ 0, true, "/1: ctime: " },
		{ DATA / 2, false, "/1: mtime: " },
		{ DATA / 2, true, "/1: ctime: " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bitmem_stats before = test_stats(self->ctx), after;
		struct scribble s = { dir_path(self->dir, "1"), cases[i].after, cases[i].hide, 0 };
		struct bitmem_error error = { 0 };
		struct bitmem_model_options options;
		int fds = test_fds();

		ASSERT_TRUE(write_file(self, "1", "a"));
		usleep(50000); /* such that a later write gets a later time */
		bitmem_model_options_init(&options);
		options.error = &error;
		options.progress = scribble;
		options.progress_arg = &s;
		options.window = 65536;
		options.queue_depth = 2;
		EXPECT_EQ(NULL, bitmem_model_load(self->ctx, s.path, &options));
		EXPECT_EQ(EBADMSG, errno);
		EXPECT_NE(NULL, strstr(error.text, cases[i].words))
			TH_LOG("case %zu: %s", i, error.text);
		/* Nothing is read of a file that has changed by the time it is opened. */
		if (!cases[i].after)
			EXPECT_EQ(1, s.calls);
		after = test_stats(self->ctx);
		EXPECT_TRUE(test_stats_equal(&before, &after));
		EXPECT_EQ(fds, test_fds());
	}
}

static int append(const struct bitmem_progress *progress, void *arg)
{
	return progress->done == 0 && truncate(arg, DATA + 4096) != 0;
}

TEST_F(model, longer_while_read)
{
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;

	ASSERT_TRUE(write_file(self, "1", "a"));
	bitmem_model_options_init(&options);
	options.error = &error;
	options.progress = append;
	options.progress_arg = (void *)dir_path(self->dir, "1");
	EXPECT_EQ(NULL, bitmem_model_load(self->ctx, dir_path(self->dir, "1"), &options));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_NE(NULL, strstr(error.text, "/1: size: "));
}

static int remove_file(const struct bitmem_progress *progress, void *arg)
{
	return progress->done == 0 && unlink(arg) != 0;
}

TEST_F(model, removed_while_read)
{
	struct bitmem_stats before = test_stats(self->ctx), after;
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;

	ASSERT_TRUE(write_file(self, "1", "a"));
	bitmem_model_options_init(&options);
	options.error = &error;
	options.progress = remove_file;
	options.progress_arg = (void *)dir_path(self->dir, "1");
	EXPECT_EQ(NULL, bitmem_model_load(self->ctx, dir_path(self->dir, "1"), &options));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_NE(NULL, strstr(error.text, "/1: open: "));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

/* --- options --- */

struct later_options {
	struct bitmem_model_options options;
	uint64_t later;
};

static bool option_refused(FIXTURE_DATA(model) *self, struct bitmem_model_options *options)
{
	struct bitmem_error error = { .code = 1 };
	bool small = options->size < sizeof(*options);

	options->error = &error;
	errno = 0;
	return !bitmem_model_load(self->ctx, dir_path(self->dir, "1"), options) &&
	       errno == EINVAL && (small || (error.code == -EINVAL && *error.text));
}

TEST_F(model, options)
{
	struct later_options later = { .later = 0 };
	struct bitmem_model_options o;
	struct bitmem_model_info info;
	struct bitmem_model *model;

	memset(&o, 0xff, sizeof(o));
	bitmem_model_options_init(&o);
	EXPECT_EQ(sizeof(o), o.size);
	EXPECT_EQ(0, o.flags);
	EXPECT_EQ(BITMEM_DIALECT_AUTO, o.dialect);
	EXPECT_TRUE(!o.progress);
	ASSERT_TRUE(write_file(self, "1", "a"));
	o.flags = 2;
	EXPECT_TRUE(option_refused(self, &o));
	bitmem_model_options_init(&o);
	o.dialect = (enum bitmem_dialect)3;
	EXPECT_TRUE(option_refused(self, &o));
	bitmem_model_options_init(&o);
	o.queue_depth = 1025;
	EXPECT_TRUE(option_refused(self, &o));
	bitmem_model_options_init(&o);
	o.window = 64 * MIB + 1;
	EXPECT_TRUE(option_refused(self, &o));
	bitmem_model_options_init(&o);
	o.size--;
	EXPECT_TRUE(option_refused(self, &o));
	bitmem_model_options_init(&later.options);
	later.options.size = sizeof(later);
	later.later = 1;
	EXPECT_TRUE(option_refused(self, &later.options));
	later.later = 0;
	later.options.error = NULL;
	model = bitmem_model_load(self->ctx, dir_path(self->dir, "1"), &later.options);
	ASSERT_NE(NULL, model);
	info.size = sizeof(info) - 1;
	EXPECT_EQ(-EINVAL, bitmem_model_info(model, &info));
	bitmem_model_close(model);
	bitmem_model_close(NULL);
	EXPECT_EQ(NULL, bitmem_model_load(self->ctx, NULL, NULL));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bitmem_model_load_files(self->ctx, NULL, 0, NULL));
	EXPECT_EQ(EINVAL, errno);
}

/* --- paths --- */

TEST_F(model, paths)
{
	const char *fifo = dir_path(self->dir, "fifo"), *link = dir_path(self->dir, "link");
	char deep[4000];

	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "none"), ENOENT, "none", "open"));
	EXPECT_TRUE(model_refused(self->ctx, self->dir, EISDIR, self->dir, "open"));
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	EXPECT_TRUE(model_refused(self->ctx, fifo, EMEDIUMTYPE, "fifo", "type"));
	EXPECT_TRUE(model_refused(self->ctx, "/dev/null", EMEDIUMTYPE, "/dev/null", "type"));
	ASSERT_EQ(0, symlink("link", link));
	EXPECT_TRUE(model_refused(self->ctx, link, ELOOP, "link", "open"));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "a\nb\x1b[1m"), ENOENT,
				  "a\\x0ab\\x1b[1m", "open"));
	memset(deep, 'd', sizeof(deep));
	strcpy(deep + sizeof(deep) - 16, "/the-end.gguf");
	EXPECT_TRUE(model_refused(self->ctx, deep, ENAMETOOLONG, "the-end.gguf", "open"));
	if (geteuid()) {
		ASSERT_TRUE(write_file(self, "1", "a"));
		ASSERT_EQ(0, chmod(dir_path(self->dir, "1"), 0));
		EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "1"), EACCES, "1",
					  "open"));
	}
}

/* More data than there can be memory for. */
TEST_F(model, no_memory)
{
	extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
	struct rlimit limit = { .rlim_cur = (rlim_t)8 << 30, .rlim_max = (rlim_t)8 << 30 };
	static const char json[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[68719476736],"
				   "\"data_offsets\":[0,68719476736]}}";
	struct bytes b = { 0 };

	if (__lsan_do_recoverable_leak_check)
		SKIP(return, "the address sanitizer needs more address space than the limit");
	safetensors_file(&b, json, 0);
	ASSERT_TRUE(dir_write_bytes(self->dir, "1.safetensors", &b));
	ASSERT_EQ(0, truncate(dir_path(self->dir, "1.safetensors"),
			      (off_t)(b.length + 68719476736)));
	bytes_free(&b);
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
	EXPECT_TRUE(model_refused(self->ctx, dir_path(self->dir, "1.safetensors"), ENOMEM,
				  "1.safetensors", "data section"));
}

TEST_HARNESS_MAIN
