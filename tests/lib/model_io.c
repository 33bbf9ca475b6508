/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the data comes in: windows and queue depths, what is said of the way it
 * was read against what the page cache shows, several files and threads at once.
 */
#include "model_fixture.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BIG	9000001u /* bytes of data, of no roundness */
#define THREADS 4
#define ROUNDS	8

#define INDEX "model.safetensors.index.json"

static bool write_big(const char *dir, const char *name, const char *tensor, size_t bytes)
{
	struct bytes b = { 0 };
	char json[256];
	bool good;

	snprintf(json, sizeof(json), "{\"%s.1\":{\"dtype\":\"U8\",\"shape\":[3],"
		 "\"data_offsets\":[0,3]},\"%s.2\":{\"dtype\":\"U8\",\"shape\":[%zu],"
		 "\"data_offsets\":[3,%zu]}}", tensor, tensor, bytes - 3, bytes);
	safetensors_file(&b, json, bytes);
	good = dir_write_bytes(dir, name, &b);
	bytes_free(&b);
	return good;
}

static bool load_with(struct bitmem *ctx, const char *path, unsigned int flags,
		      unsigned int depth, size_t window)
{
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;
	struct bitmem_model *model;
	bool good;

	bitmem_model_options_init(&options);
	options.error = &error;
	options.flags = flags;
	options.queue_depth = depth;
	options.window = window;
	model = bitmem_model_load(ctx, path, &options);
	if (!model) {
		printf("# not loaded: %s\n", error.text);
		errno = -error.code;
		return false;
	}
	good = model_matches_files(model);
	bitmem_model_close(model);
	return good;
}

TEST_F(model, windows_and_depths)
{
	static const size_t windows[] = { 0, 1, 4096, 4097, 65536, 1 << 20, 3000000, 64 * MIB };
	static const unsigned int depths[] = { 0, 1, 2, 7, 1024 };
	const char *path = dir_path(self->dir, "m.safetensors");

	ASSERT_TRUE(write_big(self->dir, "m.safetensors", "t", BIG));
	for (size_t w = 0; w < sizeof(windows) / sizeof(windows[0]); w++) {
		for (size_t d = 0; d < sizeof(depths) / sizeof(depths[0]); d++) {
			EXPECT_TRUE(load_with(self->ctx, path, 0, depths[d], windows[w]))
				TH_LOG("window %zu, depth %u", windows[w], depths[d]);
		}
		EXPECT_TRUE(load_with(self->ctx, path, BITMEM_MODEL_BUFFERED, 2, windows[w]));
	}
}

/* Sizes around those of blocks and windows. */
TEST_F(model, sizes)
{
	static const size_t sizes[] = { 4, 500, 511, 3900, 4095, 4096, 4097, 8191, 8192, 65535,
					65537, 262143, 262144, 262145 };
	const char *path = dir_path(self->dir, "m.safetensors");

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ASSERT_TRUE(write_big(self->dir, "m.safetensors", "t", sizes[i]));
		EXPECT_TRUE(load_with(self->ctx, path, 0, 3, 65536));
		EXPECT_TRUE(load_with(self->ctx, path, BITMEM_MODEL_BUFFERED, 3, 65536));
		/* The header out of the way, such that the file is of that very size. */
		ASSERT_TRUE(write_big(self->dir, "m.safetensors", "t",
				      sizes[i] > 400 ? sizes[i] - 8 - 112 : sizes[i]));
		EXPECT_TRUE(load_with(self->ctx, path, 0, 3, 4096));
	}
}

/* More than one fixed buffer's worth, with holes, and data at the ends and in the middle. */
TEST_F(model, large)
{
	static const size_t windows[] = { 0, 3000000 };
	const off_t at[] = { 0, 256 * MIB - 8192, 256 * MIB + 8192, 300 * MIB };
	const char *path = dir_path(self->dir, "m.safetensors");
	struct bytes b = { 0 };
	char json[128];
	int fd;

	snprintf(json, sizeof(json), "{\"a\":{\"dtype\":\"U8\",\"shape\":[%zu],"
		 "\"data_offsets\":[0,%zu]}}", 300 * MIB + 77, 300 * MIB + 77);
	safetensors_file(&b, json, 0);
	ASSERT_TRUE(dir_write_bytes(self->dir, "m.safetensors", &b));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, (off_t)(b.length + 300 * MIB + 77)));
	for (size_t i = 0; i < 4; i++)
		ASSERT_EQ((ssize_t)b.length,
			  pwrite(fd, b.data, b.length, (off_t)b.length + at[i]));
	close(fd);
	bytes_free(&b);
	ASSERT_EQ(0, truncate(path, 8 + (off_t)strlen(json) + (off_t)(300 * MIB + 77)));
	for (size_t i = 0; i < 2; i++) {
		bool good = load_with(self->ctx, path, 0, 0, windows[i]);

		if (!good && errno == ENOMEM)
			SKIP(return, "no 300 MiB of memory to be had");
		EXPECT_TRUE(good);
	}
}

/* Addresses agree with file offsets modulo the page, whatever the header's length. */
TEST_F(model, alignment_kept)
{
	struct bitmem_model *model;
	const struct bitmem_model_entry *entry;

	ASSERT_TRUE(write_big(self->dir, "m.safetensors", "t", 10000));
	model = bitmem_model_load(self->ctx, dir_path(self->dir, "m.safetensors"), NULL);
	ASSERT_NE(NULL, model);
	for (size_t i = 0; (entry = bitmem_model_entry(model, i)); i++)
		EXPECT_EQ(entry->file_offset % 4096,
			  (uintptr_t)bitmem_tensor_data(entry->tensor) % 4096);
	bitmem_model_close(model);
}

/* --- what is said of the way the data was read --- */

/* Pages of a file, from @from on, that are in the page cache. -1 if that is not known. */
static long cached_pages(const char *path, size_t from)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
	unsigned char *seen = NULL;
	struct stat st;
	void *map = MAP_FAILED;
	long cached = -1;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st))
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -1;
	n = ((size_t)st.st_size + page - 1) / page;
	seen = calloc(n, 1);
	if (seen && !mincore(map, (size_t)st.st_size, seen)) {
		cached = 0;
		for (size_t i = from / page; i < n; i++)
			cached += seen[i] & 1;
	}
	free(seen);
	munmap(map, (size_t)st.st_size);
	return cached;
}

/* Writes the file back and throws it out of the page cache. */
static bool evict(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && !fsync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);

	if (fd >= 0)
		close(fd);
	return good;
}

/* Whether the kernel says that this file can be read past the page cache. */
static bool takes_direct(const char *path)
{
	struct statx stx = { 0 };

	return !statx(AT_FDCWD, path, 0, STATX_DIOALIGN, &stx) &&
	       (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align;
}

static const char *io_of(struct bitmem *ctx, const char *path, unsigned int flags)
{
	struct bitmem_model_info info = { .size = sizeof(info) };
	struct bitmem_model_options options;
	struct bitmem_model *model;

	bitmem_model_options_init(&options);
	options.flags = flags;
	model = bitmem_model_load(ctx, path, &options);
	if (!model || bitmem_model_info(model, &info))
		return "(not loaded)";
	bitmem_model_close(model);
	return info.io;
}

TEST_F(model, io_told_on_disk)
{
	const char *path = dir_path(self->dir, "m.safetensors"), *io;

	ASSERT_TRUE(write_big(self->dir, "m.safetensors", "t", BIG));
	ASSERT_TRUE(evict(path));
	if (cached_pages(path, 0))
		SKIP(return, "pages of %s cannot be evicted: a filesystem in memory", self->dir);
	io = io_of(self->ctx, path, 0);
	TH_LOG("%s", io);
	EXPECT_EQ(!strstr(io, "+direct"), cached_pages(path, 2 * MIB) > 0);
	if (takes_direct(path))
		EXPECT_NE(NULL, strstr(io, "+direct"));
	EXPECT_NE(NULL, strstr(io_of(self->ctx, path, BITMEM_MODEL_BUFFERED), "+buffered"));
	EXPECT_LT(2000, cached_pages(path, 0) * (sysconf(_SC_PAGESIZE) / 4096));
}

/* A way is only told of what was read in it; without data it is the way that was asked for. */
TEST_F(model, io_told_of_nothing)
{
	static const char *const headers[] = {
		"{}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[0,0]}}",
	};
	const char *path = dir_path(self->dir, "m.safetensors"), *io;

	for (size_t i = 0; i < 2; i++) {
		struct bytes b = { 0 };

		safetensors_file(&b, headers[i], 0);
		ASSERT_TRUE(dir_write_bytes(self->dir, "m.safetensors", &b));
		bytes_free(&b);
		io = io_of(self->ctx, path, 0);
		EXPECT_EQ(NULL, strstr(io, "+fixed"))
			TH_LOG("%s", io);
		EXPECT_TRUE(!takes_direct(path) || strstr(io, "+direct"))
			TH_LOG("%s", io);
		io = io_of(self->ctx, path, BITMEM_MODEL_BUFFERED);
		EXPECT_NE(NULL, strstr(io, "+buffered"))
			TH_LOG("%s", io);
	}
}

/* In memory there is nothing direct, whatever open(2) says on this kernel. */
TEST_F(model, io_told_in_memory)
{
	const char *path, *io;
	struct statfs fs;
	char *dir;

	if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC || access("/dev/shm", W_OK))
		SKIP(return, "no tmpfs at /dev/shm");
	dir = dir_make("/dev/shm");
	ASSERT_NE(NULL, dir);
	path = dir_path(dir, "m.safetensors");
	ASSERT_TRUE(write_big(dir, "m.safetensors", "t", BIG));
	io = io_of(self->ctx, path, 0);
	EXPECT_NE(NULL, strstr(io, "+buffered"))
		TH_LOG("%s", io);
	EXPECT_TRUE(load_with(self->ctx, path, 0, 0, 0));
	dir_remove(dir);
}

/* --- several files --- */

#define SHARDS 7

static bool write_shards(const char *dir)
{
	char index[4096] = "{\"weight_map\":{", name[32], tensor[16];

	for (unsigned int i = 0; i < SHARDS; i++) {
		snprintf(name, sizeof(name), "s%u.safetensors", i);
		snprintf(tensor, sizeof(tensor), "t%u", i);
		if (!write_big(dir, name, tensor, 100 + 700001ul * (i * 3 % SHARDS)))
			return false;
		sprintf(index + strlen(index), "%s\"%s.1\":\"%s\",\"%s.2\":\"%s\"",
			i ? "," : "", tensor, name, tensor, name);
	}
	strcat(index, "}}");
	return dir_write(dir, INDEX, index, strlen(index));
}

TEST_F(model, many_files)
{
	static const size_t windows[] = { 4096, 65536, 0 };
	const char *path = dir_path(self->dir, INDEX);

	ASSERT_TRUE(write_shards(self->dir));
	for (size_t i = 0; i < 3; i++) {
		EXPECT_TRUE(load_with(self->ctx, path, 0, 0, windows[i]));
		EXPECT_TRUE(load_with(self->ctx, path, 0, 2, windows[i]));
		EXPECT_TRUE(load_with(self->ctx, path, BITMEM_MODEL_BUFFERED, 0, windows[i]));
	}
}

/* --- threads --- */

struct job {
	struct bitmem *ctx;
	char path[256];
	unsigned int depth;
	bool good;
};

static void *load_often(void *arg)
{
	struct job *job = arg;

	job->good = true;
	for (unsigned int i = 0; i < ROUNDS && job->good; i++)
		job->good = load_with(job->ctx, job->path, i % 2 ? BITMEM_MODEL_BUFFERED : 0,
				      job->depth, 65536);
	return NULL;
}

TEST_F(model, threads)
{
	struct job jobs[THREADS];
	pthread_t threads[THREADS];

	ASSERT_TRUE(write_shards(self->dir));
	ASSERT_TRUE(write_big(self->dir, "m.safetensors", "t", 2000001));
	for (unsigned int i = 0; i < THREADS; i++) {
		jobs[i].ctx = self->ctx;
		jobs[i].depth = i * 4;
		snprintf(jobs[i].path, sizeof(jobs[i].path), "%s/%s", self->dir,
			 i % 2 ? "m.safetensors" : INDEX);
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, load_often, &jobs[i]));
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_TRUE(jobs[i].good);
	}
}

TEST_HARNESS_MAIN
