/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers in a C++ program: they compile, and what they declare links as C.
 * The kernel's test harness is C only, so this prints its own TAP.
 */
#include <bitmem/bitmem.h>
#include <bitmem/dtype.h>
#include <bitmem/events.h>
#include <bitmem/model.h>

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
	std::printf("TAP version 13\n1..7\n");
	check(ctx != nullptr, "open");
	if (ctx)
		use(ctx);
	return failures ? 1 : 0;
}
