/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What seldom happens while a model is loaded, made to happen: memory that is
 * refused, reads that are short, interrupted or fail, kernels that refuse
 * io_uring, O_DIRECT or fixed buffers.
 */
#include "inject.h"
#include "model_fixture.h"
#include "model_inject.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATA 700001u

static bool write_bytes(FIXTURE_DATA(model) *self, const char *name, struct bytes *b)
{
	bool good = dir_write_bytes(self->dir, name, b);

	bytes_free(b);
	return good;
}

#define NAMES 60 /* more than tables begin with */

/* A split set of two, and an index with one shard; both with many names. */
static bool write_sets(FIXTURE_DATA(model) *self)
{
	static char names[NAMES][16];
	struct gguf_tensor tensors[NAMES];
	char *json = malloc(20000), *map = malloc(20000), *j = json, *m = map;
	struct bytes b = { 0 };
	bool good;

	j += sprintf(j, "{");
	m += sprintf(m, "{\"weight_map\":{");
	for (unsigned int i = 0; i < NAMES; i++) {
		sprintf(names[i], "t%u", i);
		tensors[i] = (struct gguf_tensor){ names[i], 1, { 8 }, 0, 32, 0 };
		j += sprintf(j, "%s\"t%u\":{\"dtype\":\"U8\",\"shape\":[],"
			     "\"data_offsets\":[%u,%u]}", i ? "," : "", i, i, i + 1);
		m += sprintf(m, "%s\"t%u\":\"s.safetensors\"", i ? "," : "", i);
	}
	strcpy(j, "}");
	strcpy(m, "}}");
	safetensors_file(&b, json, NAMES);
	good = write_bytes(self, "s.safetensors", &b) &&
	       dir_write(self->dir, "s.index.json", map, strlen(map));
	free(json);
	free(map);
	for (unsigned int i = 0; i < 2; i++) {
		gguf_begin(&b, 3, i ? NAMES : 0, 3);
		gguf_key_u16(&b, "split.no", (uint16_t)i);
		gguf_key_u16(&b, "split.count", 2);
		gguf_key_i32(&b, "split.tensors.count", NAMES);
		gguf_tensors(&b, tensors, i ? NAMES : 0, 32);
		gguf_data(&b, tensors, i ? NAMES : 0, 32, true);
		good = good && write_bytes(self, i ? "g-00002-of-00002.gguf" :
						     "g-00001-of-00002.gguf", &b);
	}
	return good;
}

static bool write_file(FIXTURE_DATA(model) *self, const char *name)
{
	struct gguf_tensor tensors[] = {
		{ "a", 1, { DATA }, 24, DATA, 0 },
		{ "b", 2, { 64, 3 }, 8, 204, 0 },
	};
	char json[256];
	struct bytes b = { 0 };

	snprintf(json, sizeof(json), "{\"a\":{\"dtype\":\"U8\",\"shape\":[%u],"
		 "\"data_offsets\":[0,%u]},\"__metadata__\":{\"k\":\"v\"}}", DATA, DATA);
	if (strstr(name, ".gguf"))
		gguf_file(&b, 3, "llama", tensors, 2);
	else
		safetensors_file(&b, json, DATA);
	return write_bytes(self, name, &b);
}

/* The request for memory that load() has refused, the first being 0; or -1. */
static int refused = -1;

/* Loads under the plan. What was loaded is compared without it. */
static struct bitmem_model *load(FIXTURE_DATA(model) *self, const char *name,
				 struct bitmem_error *error)
{
	const char *path = dir_path(self->dir, name);
	struct bitmem_model_options options;
	struct bitmem_model *model;

	bitmem_model_options_init(&options);
	options.error = error;
	options.window = 65536;
	options.queue_depth = 4;
	plan.armed = true;
	plan.read_calls = plan.submit_calls = plan.done = 0;
	plan.data_hit = false;
	inject.failed = false;
	inject.countdown = refused;
	model = bitmem_model_load(self->ctx, path, &options);
	inject.countdown = -1;
	plan.armed = false;
	return model;
}

static const char *io_of(const struct bitmem_model *model)
{
	struct bitmem_model_info info = { .size = sizeof(info) };

	return bitmem_model_info(model, &info) ? "?" : info.io;
}

/* Each allocation refused in turn. */
static void refuse_each(struct __test_metadata *_metadata, FIXTURE_DATA(model) *self,
			const char *name)
{
	unsigned int failed = 0;

	inject.failed = true;
	for (refused = 0; inject.failed; refused++) {
		struct bitmem_stats before = test_stats(self->ctx), after;
		struct bitmem_error error = { 0 };
		int fds = test_fds();
		struct bitmem_model *model = load(self, name, &error);

		if (model) {
			EXPECT_TRUE(model_matches_files(model));
		} else {
			failed++;
			EXPECT_EQ(ENOMEM, errno)
				TH_LOG("allocation %d: %s", refused, error.text);
			EXPECT_EQ(-ENOMEM, error.code);
		}
		bitmem_model_close(model);
		after = test_stats(self->ctx);
		EXPECT_EQ(before.live, after.live);
		EXPECT_EQ(before.committed_bytes, after.committed_bytes);
		EXPECT_EQ(fds, test_fds());
		EXPECT_EQ(0, plan.in_flight);
	}
	EXPECT_LT(10, failed);
	refused = -1;
}

TEST_F(model, memory_refused)
{
	ASSERT_TRUE(write_file(self, "m.gguf"));
	ASSERT_TRUE(write_file(self, "m.safetensors"));
	refuse_each(_metadata, self, "m.gguf");
	refuse_each(_metadata, self, "m.safetensors");
	plan.no_ring = ENOSYS;
	refuse_each(_metadata, self, "m.gguf");
}

TEST_F(model, memory_refused_for_splits)
{
	ASSERT_TRUE(write_sets(self));
	refuse_each(_metadata, self, "g-00001-of-00002.gguf");
}

TEST_F(model, memory_refused_for_shards)
{
	ASSERT_TRUE(write_sets(self));
	refuse_each(_metadata, self, "s.index.json");
}

/* Every second to fifth read, or one of them: the load goes on, and nothing is missing. */
static void disturb(struct __test_metadata *_metadata, FIXTURE_DATA(model) *self)
{
	struct bitmem_model *whole = load(self, "m.safetensors", NULL);
	bool can_direct;

	ASSERT_NE(NULL, whole);
	can_direct = strstr(io_of(whole), "+direct");
	bitmem_model_close(whole);
	for (enum fault fault = FAULT_SHORT; fault <= FAULT_EINVAL; fault++) {
		for (unsigned int every = 2; every <= 5; every++) {
			struct bitmem_error error = { 0 };
			struct bitmem_model *model;
			bool direct;

			if (fault == FAULT_EINVAL && !can_direct)
				continue;
			plan.read = fault;
			plan.read_every = every;
			plan.read_at = fault == FAULT_EINVAL ? every : 0;
			model = load(self, "m.safetensors", &error);
			ASSERT_NE(NULL, model)
				TH_LOG("fault %d every %u: %s", fault, every, error.text);
			direct = strstr(io_of(model), "+direct");
			EXPECT_TRUE(model_matches_files(model));
			if (plan.data_hit && (fault == FAULT_EINVAL || fault == FAULT_ODD))
				EXPECT_FALSE(direct);
			bitmem_model_close(model);
		}
	}
	plan.read = FAULT_NONE;
}

TEST_F(model, reads_disturbed)
{
	ASSERT_TRUE(write_file(self, "m.safetensors"));
	disturb(_metadata, self);
}

TEST_F(model, reads_disturbed_without_ring)
{
	ASSERT_TRUE(write_file(self, "m.safetensors"));
	plan.no_ring = ENOSYS;
	disturb(_metadata, self);
}

/* A read that never gets anywhere ends in its error, not in a hang. */
TEST_F(model, reads_stuck)
{
	struct bitmem_error error = { 0 };

	ASSERT_TRUE(write_file(self, "m.safetensors"));
	plan.read = FAULT_EAGAIN;
	plan.read_every = 1;
	EXPECT_EQ(NULL, load(self, "m.safetensors", &error));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_NE(NULL, strstr(error.text, "m.safetensors: read: "));
}

/* Each read failing in turn. */
static void fail_each(struct __test_metadata *_metadata, FIXTURE_DATA(model) *self,
		      enum fault fault, int code, const char *words)
{
	unsigned int failed = 0;

	plan.read = fault;
	plan.done = 1;
	for (plan.read_at = 1; plan.done; plan.read_at++) {
		struct bitmem_stats before = test_stats(self->ctx), after;
		struct bitmem_error error = { 0 };
		int fds = test_fds();
		struct bitmem_model *model = load(self, "m.safetensors", &error);

		if (!plan.done) {
			ASSERT_NE(NULL, model);
			bitmem_model_close(model);
			break;
		}
		failed++;
		ASSERT_EQ(NULL, model);
		EXPECT_EQ(code, errno);
		EXPECT_NE(NULL, strstr(error.text, words))
			TH_LOG("%s", error.text);
		after = test_stats(self->ctx);
		EXPECT_TRUE(test_stats_equal(&before, &after));
		EXPECT_EQ(fds, test_fds());
		EXPECT_EQ(0, plan.in_flight);
	}
	EXPECT_LT(10, failed);
}

TEST_F(model, reads_failing)
{
	ASSERT_TRUE(write_file(self, "m.safetensors"));
	fail_each(_metadata, self, FAULT_EIO, EIO, "m.safetensors: read: ");
	fail_each(_metadata, self, FAULT_END, EBADMSG, "m.safetensors: size: ");
}

TEST_F(model, reads_failing_without_ring)
{
	ASSERT_TRUE(write_file(self, "m.safetensors"));
	plan.no_ring = EPERM;
	fail_each(_metadata, self, FAULT_EIO, EIO, "m.safetensors: read: ");
	fail_each(_metadata, self, FAULT_END, EBADMSG, "m.safetensors: size: ");
}

/* Submissions put off for a while do no harm; for ever, or refused, they end the load. */
TEST_F(model, submissions_refused)
{
	static const struct {
		int refused;
		unsigned int from, to;
		bool loads;
	} cases[] = {
		{ EAGAIN, 1, 5, true }, { EBUSY, 2, 9, true },	{ EINTR, 1, 50, true },
		{ EBADF, 1, 1, false }, { ENXIO, 2, 2, false }, { EAGAIN, 3, UINT32_MAX, false },
	};

	ASSERT_TRUE(write_file(self, "m.safetensors"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bitmem_stats before = test_stats(self->ctx), after;
		struct bitmem_error error = { 0 };
		struct bitmem_model *model;

		plan.submit = cases[i].refused;
		plan.submit_from = cases[i].from;
		plan.submit_to = cases[i].to;
		model = load(self, "m.safetensors", &error);
		EXPECT_EQ(cases[i].loads, model != NULL)
			TH_LOG("case %zu: %s", i, error.text);
		if (model) {
			EXPECT_TRUE(model_matches_files(model));
		} else {
			EXPECT_EQ(cases[i].refused, errno);
			EXPECT_NE(NULL, strstr(error.text, "m.safetensors: io_uring: "));
			after = test_stats(self->ctx);
			EXPECT_EQ(before.live, after.live);
			EXPECT_EQ(before.committed_bytes, after.committed_bytes);
		}
		bitmem_model_close(model);
	}
}

/* Filesystems with blocks larger than a page, with none, and with nonsense. */
TEST_F(model, blocks)
{
	static const struct {
		unsigned int block;
		bool direct;
	} cases[] = {
		{ 512, true },	       { 8192, true },	{ 65536, true },     { 2u << 20, true },
		{ BLOCK_NONE, false }, { 12288, false }, { 4u << 20, false },
	};
	struct bitmem_model *model;
	bool can_direct;

	ASSERT_TRUE(write_file(self, "m.gguf"));
	model = load(self, "m.gguf", NULL);
	ASSERT_NE(NULL, model);
	can_direct = strstr(io_of(model), "+direct");
	bitmem_model_close(model);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		plan.block = cases[i].block;
		model = load(self, "m.gguf", NULL);
		ASSERT_NE(NULL, model);
		EXPECT_TRUE(model_matches_files(model));
		EXPECT_EQ(can_direct && cases[i].direct, strstr(io_of(model), "+direct") != NULL)
			TH_LOG("block %u: %s", plan.block, io_of(model));
		bitmem_model_close(model);
	}
	plan.block = 0;
}

/* --- what kernels refuse --- */

/* Makes io_uring_setup(2) fail from here on. */
static bool forbid_io_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

TEST_F(model, io_uring_forbidden)
{
	struct bitmem_model *model;

	ASSERT_TRUE(write_file(self, "m.gguf"));
	if (!forbid_io_uring())
		SKIP(return, "this kernel has no seccomp filters");
	model = load(self, "m.gguf", NULL);
	ASSERT_NE(NULL, model);
	EXPECT_TRUE(model_matches_files(model));
	EXPECT_EQ(io_of(model), strstr(io_of(model), "pread+"));
	bitmem_model_close(model);
}

/* Takes the right to lock memory without limit, and all that the limit allows. */
static bool forbid_locking(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	struct rlimit none = { 0, 0 };

	if (syscall(SYS_capget, &head, caps))
		return false;
	caps[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
	return !syscall(SYS_capset, &head, caps) && !setrlimit(RLIMIT_MEMLOCK, &none);
}

/* Fixed buffers count as locked memory: without a right to it, reads are plain. */
TEST_F(model, locking_forbidden)
{
	struct bitmem_model *model;

	ASSERT_TRUE(write_file(self, "m.gguf"));
	ASSERT_TRUE(forbid_locking());
	model = load(self, "m.gguf", NULL);
	ASSERT_NE(NULL, model);
	EXPECT_TRUE(model_matches_files(model));
	EXPECT_EQ(NULL, strstr(io_of(model), "+fixed"))
		TH_LOG("%s", io_of(model));
	bitmem_model_close(model);
}

TEST_HARNESS_MAIN
