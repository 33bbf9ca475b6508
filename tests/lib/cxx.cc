/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers in a C++ program: they compile, and what they declare links as C.
 * The kernel's test harness is C only, so this prints its own TAP.
 */
#include <bitmem/bitmem.h>
#include <bitmem/dlpack.h>
#include <bitmem/dtype.h>
#include <bitmem/events.h>
#include <bitmem/lifetime.h>
#include <bitmem/model.h>
#include <bitmem/pools.h>
#include <bitmem/pressure.h>
#include <bitmem/share.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static int failures;
static int checks;

static void check(bool good, const char *what)
{
	std::printf("%sok %d %s\n", good ? "" : "not ", ++checks, what);
	failures += !good;
}

static bool device_is_absent()
{
	const char *backend = std::getenv("BITMEM_BACKEND");

	return backend && !std::strcmp(backend, "device") && (errno == ENOENT || errno == EACCES);
}

static bool dlpack_works(struct bitmem *ctx)
{
	const uint64_t shape[] = { 3, 4 };
	struct bitmem_tensor *tensor = bitmem_tensor_new(ctx, BITMEM_F32, 2, shape), *back;
	DLManagedTensorVersioned *managed = bitmem_tensor_to_dlpack(tensor);
	bool good = managed && managed->dl_tensor.dtype.code == kDLFloat &&
		    managed->dl_tensor.device.device_type == kDLCPU;

	back = bitmem_tensor_from_dlpack(ctx, managed, nullptr);
	good = good && back == tensor;
	bitmem_tensor_unref(back);
	bitmem_tensor_unref(tensor);
	return good;
}

static bool pools_work(struct bitmem *ctx)
{
	struct bitmem_pool_options options;
	unsigned int pool = 0;

	bitmem_pool_options_init(&options);
	if (bitmem_pool_add(ctx, &options, &pool) || pool != 1)
		return false;
	void *block = bitmem_alloc_in(ctx, pool, 100, 0);

	return block && bitmem_pool_of(ctx, block) == 1 && !bitmem_free(ctx, block);
}

static void use(struct bitmem *ctx)
{
	const uint64_t shape[] = { 4, 32 };
	struct bitmem_stats stats;
	struct bitmem_model_options options;
	uint64_t bytes = 0;

	{
		bitmem_auto struct bitmem_tensor *tensor =
			bitmem_tensor_new(ctx, BITMEM_Q8_0, 2, shape);

		check(tensor && bitmem_tensor_bytes(tensor) == 4 * 34, "tensor");
	}
	stats.size = sizeof(stats);
	check(!bitmem_stats(ctx, &stats) && stats.live == 0 && stats.allocs == 1, "scope");
	check(!bitmem_dtype_bytes(BITMEM_F16, 2, shape, 1, &bytes) && bytes == 256, "dtype");
	bitmem_model_options_init(&options);
	check(!bitmem_model_load(ctx, "/nonexistent", &options) && errno == ENOENT, "model");
	check(!bitmem_events_open(~0u) && errno == EINVAL, "events");
	check(dlpack_works(ctx), "dlpack");
	check(!bitmem_tensor_receive(ctx, -1, nullptr) && errno == EBADF, "share");
	check(pools_work(ctx), "pools");
	check(bitmem_close(ctx) == 0, "close");
}

int main()
{
	struct bitmem_options options;
	struct bitmem *ctx;

	bitmem_options_init(&options);
	options.segment_size = 1;
	ctx = bitmem_open(&options);
	if (!ctx && device_is_absent()) {
		std::printf("TAP version 13\n1..0 # SKIP no bitmem device\n");
		return 0;
	}
	std::printf("TAP version 13\n1..10\n");
	check(ctx != nullptr, "open");
	if (ctx)
		use(ctx);
	return failures ? 1 : 0;
}
