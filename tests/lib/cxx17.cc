/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C++ wrapper: what its objects hold goes when they go, and errors are exceptions.
 * The kernel's test harness is C only, so this prints its own TAP.
 */
/* A program that has DLPack's own header, an old one: nothing is declared twice. */
#define DLPACK_DLPACK_H_
#include <bitmem/dlpack.h>

#include <bitmem/bitmem.hpp>
#include <bitmem/lifetime.hpp>
#include <bitmem/track.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

static int failures;
static int checks;

static void check(bool good, const char *what)
{
	std::printf("%sok %d %s\n", good ? "" : "not ", ++checks, what);
	failures += !good;
}

/* The errno of the exception that @call throws; 0 if it throws none. */
template <class Call> static int thrown(Call call)
{
	try {
		call();
	} catch (const std::system_error &error) {
		return error.code().category() == std::generic_category() ?
		       error.code().value() : -1;
	}
	return 0;
}

static_assert(!std::is_copy_constructible_v<bm::Context> && !std::is_copy_assignable_v<bm::Context>,
	      "a context is one");
static_assert(std::is_nothrow_move_constructible_v<bm::Context> &&
	      std::is_nothrow_move_assignable_v<bm::Context>, "a context moves");
static_assert(std::is_nothrow_copy_constructible_v<bm::Tensor> &&
	      std::is_nothrow_move_constructible_v<bm::Tensor> &&
	      sizeof(bm::Tensor) == sizeof(void *), "a tensor is a reference");

static void contexts()
{
	bm::Context a, b(std::move(a));
	struct bitmem_options options;

	check(!a && b && b.stats().live == 0, "context moves");
	a = std::move(b);
	check(a && !b && a.backend() != BITMEM_BACKEND_AUTO, "context moves by assignment");
	bitmem_options_init(&options);
	options.segment_size = 1;
	b = bm::Context(&options);
	check(b && b.trim() == 0, "context with options");
	options.node = -2;
	check(thrown([&] { bm::Context bad(&options); }) == EINVAL, "context that cannot be");
	try {
		bm::Context bad(&options);
	} catch (const std::system_error &error) {
		check(std::strstr(error.what(), "options.node: -2"), "the exception has words");
	}
	options.size = 1;
	check(thrown([&] { bm::Context bad(&options); }) == EINVAL, "options of another size");
	bm::Tensor t(a, BITMEM_U8, { 10 });
	check(a.close() == 1 && !a, "close tells what is live");
	std::memset(t.data(), 1, t.bytes());
}

static void references(const bm::Context &ctx)
{
	{
		bm::Tensor t(ctx, BITMEM_F32, { 4, 6 }), same = t, none;

		check(t.bytes() == 96 && t.dtype() == BITMEM_F32, "tensor");
		check(t.shape().size() == 2 && t.shape()[0] == 4 && t.shape()[1] == 6, "shape");
		check(same.get() == t.get() && ctx.stats().live == 1, "a copy is a reference");
		t = bm::Tensor();
		check(!t && ctx.stats().live == 1, "the other keeps it");
		none = std::move(same);
		check(none && !same, "tensor moves");
		none = static_cast<const bm::Tensor &>(none);
		check(none && ctx.stats().live == 1, "assignment to itself");
		bm::Tensor taken(none.release());
		check(!none && taken, "taken over");
	}
	check(ctx.stats().live == 0, "scope's end drops all");
	check(thrown([&] { bm::Tensor t(ctx, BITMEM_Q8_0, { 33 }); }) == EINVAL &&
	      thrown([&] { bm::Tensor t(ctx, BITMEM_F64, { 1ull << 63 }); }) == EOVERFLOW,
	      "tensors that cannot be");
	check(bm::Tensor(ctx, BITMEM_F64, {}).bytes() == 8, "scalar");
}

static void views(const bm::Context &ctx)
{
	const std::vector<std::uint64_t> shape = { 3, 5 };
	bm::Tensor t(ctx, BITMEM_I32, bm::Shape(shape.data(), 2));
	bm::Tensor v = t.view(BITMEM_I32, { 5 }, 20);
	int n = 0;

	for (std::int32_t &element : t.span<std::int32_t>())
		element = n++;
	check(n == 15 && v.span<std::int32_t>()[0] == 5, "view and span");
	check(v.span<const float>().size() == 5 && v.span<unsigned char>().size() == 20,
	      "span of the element's size, and of bytes");
	check(thrown([&] { v.span<std::int64_t>(); }) == EINVAL, "span of another size");
	check(thrown([&] { t.view(BITMEM_I32, { 5 }, 1).span<std::int32_t>(); }) == EINVAL,
	      "span that is not aligned");
	check(thrown([&] { t.view(BITMEM_Q8_0, { 32 }).span<std::uint16_t>(); }) == EINVAL,
	      "span of blocks");
	check(thrown([&] { t.view(BITMEM_I32, { 16 }); }) == EINVAL, "view that lies outside");
	t = bm::Tensor();
	check(v.span<std::int32_t>()[4] == 9 && ctx.stats().views == 1, "view keeps the memory");
}

static void shapes(const bm::Context &ctx)
{
	bm::Tensor t(ctx, BITMEM_I32, { 4, 6 }), r = t.reshape({ 3, BITMEM_INFER });
	bm::Tensor s = r.slice(1, 2), p = t.part({ 2, 1 }, { 1, 3 }), other;
	int n = 0;

	for (std::int32_t &element : t.span<std::int32_t>())
		element = n++;
	check(r.shape()[1] == 8 && s.span<std::int32_t>()[0] == 8, "reshape and slice");
	check(p.span<std::int32_t>()[2] == 15, "part");
	check(thrown([&] { t.part({ 2 }, { 1, 3 }); }) == EINVAL, "part of other dimensions");
	check(thrown([&] { t.reshape({ 5, 5 }); }) == EINVAL &&
	      thrown([&] { t.slice(3, 2); }) == EINVAL, "shapes that cannot be");
	try {
		t.reshape({ 5, 5 });
	} catch (const std::system_error &error) {
		check(std::strstr(error.what(), "25 elements"), "the exception has words");
	}
	other = t.clone();
	check(other.get() != t.get() && other.data() == t.data(), "a clone shares");
	other = t.copy(ctx);
	check(other.data() != t.data() && other.span<std::int32_t>()[23] == 23, "a copy does not");
	other = bm::Tensor::zeros(ctx, BITMEM_TERNARY2, { 8 });
	check(other.span<unsigned char>()[1] == 0x55, "zeros");
	check(thrown([&] { bm::Tensor::zeros(ctx, BITMEM_F8_E8M0, { 1 }); }) == EINVAL,
	      "zeros that cannot be");
}

static void names(const bm::Context &ctx)
{
	bm::Tensor t(ctx, BITMEM_U8, { 10 });

	check(t.name().empty() && t.tag().empty(), "no name");
	t.set_name("blk.0.attn_q");
	t.set_tag("kv");
	check(t.name() == "blk.0.attn_q" && t.tag() == "kv", "name and tag");
	check(bm::Tensor::find(ctx, "blk.0.attn_q").get() == t.get() &&
	      !bm::Tensor::find(ctx, "blk.0.attn_k"), "found by name");
	check(thrown([&] { t.set_name(std::string(256, 'n')); }) == ENAMETOOLONG &&
	      thrown([&] { t.set_tag("\n"); }) == EINVAL, "names that cannot be");
	t.set_name("");
	check(t.name().empty() && !bm::Tensor::find(ctx, "blk.0.attn_q"), "name taken away");
}

static void weak_handles(const bm::Context &ctx)
{
	bm::Tensor t(ctx, BITMEM_U8, { 10 });
	bm::Weak nothing, weak(t), same = weak;

	check(!nothing.lock() && weak.lock().get() == t.get(), "weak handle");
	t = bm::Tensor();
	check(!weak.lock() && !same.lock() && ctx.stats().live == 0, "and what it is of has gone");
}

static void scopes(const bm::Context &ctx)
{
	bm::Tensor taken;
	{
		bm::Scope scope(ctx), inner = scope.open();
		struct bitmem_tensor *kept = inner.tensor(BITMEM_F32, { 4, 4 });

		inner.empty(BITMEM_U8, { 100 });
		inner.add(bm::Tensor(ctx, BITMEM_U8, { 5 }).reshape({ 5, 1 }));
		check(inner.count() == 3 && ctx.stats().live == 3, "scope");
		inner.keep(kept);
		inner.close();
		check(!inner && scope.count() == 1 && ctx.stats().live == 1, "scope is closed");
		taken = scope.take(scope.tensor(BITMEM_U8, { 3 }));
		check(thrown([&] { scope.keep(kept); }) == EINVAL &&
		      thrown([&] { scope.take(taken.get()); }) == ENOENT &&
		      thrown([&] { scope.tensor(BITMEM_Q8_0, { 3 }); }) == EINVAL &&
		      thrown([&] { inner.open(); }) == EINVAL, "what a scope cannot");
	}
	check(taken && ctx.stats().live == 1, "scope ends with its object");
}

/* Where a tensor was made, as a snapshot says: "12 function", if it is in this file. */
static std::string made_at(const bm::Context &ctx, const struct bitmem_tensor *tensor)
{
	struct bitmem_snapshot *snapshot = bitmem_snapshot(ctx.get());
	std::string at = "nowhere";

	for (std::size_t i = 0; snapshot && i < bitmem_snapshot_count(snapshot); i++) {
		const struct bitmem_live *live = bitmem_snapshot_get(snapshot, i);
		const struct bitmem_place *place = live->place;

		if (live->tensor != tensor)
			continue;
		at = place->file ? place->file : "an address";
		if (at.size() >= 8 && !at.compare(at.size() - 8, 8, "cxx17.cc"))
			at = std::to_string(place->line) + " " + place->function;
	}
	bitmem_snapshot_free(snapshot);
	return at;
}

static bm::Tensor on_behalf(const bm::Context &ctx, bm::Place place = bm::Place::here())
{
	return bm::Tensor(ctx, BITMEM_U8, { 4 }, place);
}

static bm::Context open_with(enum bitmem_tracking level)
{
	struct bitmem_options options;

	bitmem_options_init(&options);
	options.tracking = level;
	return bm::Context(&options);
}

/* A report names the line that asked, not the header's. */
static void places()
{
	static const char file[] = "a.cc";
	bm::Context ctx = open_with(BITMEM_TRACKING_SITES);
	bm::Scope scope(ctx);
	std::vector<bm::Tensor> t;
	const int line = __LINE__ + 1;
	t.emplace_back(bm::Tensor(ctx, BITMEM_U8, { 4 }));
	t.emplace_back(bm::Tensor::zeros(ctx, BITMEM_U8, { 4 }));
	t.emplace_back(bm::Tensor::shareable(ctx, BITMEM_U8, { 4 }));
	t.emplace_back(t[0].view(BITMEM_U8, { 4 }));
	t.emplace_back(t[0].reshape({ 2, 2 }));
	t.emplace_back(t[0].slice(0, 2));
	t.emplace_back(t[0].part({ 0 }, { 2 }));
	t.emplace_back(t[0].clone());
	t.emplace_back(t[0].copy(ctx));
	t.emplace_back(scope.take(scope.tensor(BITMEM_U8, { 4 })));
	t.emplace_back(scope.take(scope.empty(BITMEM_U8, { 4 })));
	t.emplace_back(on_behalf(ctx));

	for (std::size_t i = 0; i < t.size(); i++) {
		const std::string at = made_at(ctx, t[i].get());
		const bool good = at == std::to_string(line + static_cast<int>(i)) + " places";

		check(good, ("place " + std::to_string(i) + (good ? "" : " is " + at)).c_str());
	}
	for (int i = 0; i < 2; i++)
		t.emplace_back(ctx, BITMEM_U8, bm::Shape{ 4 }, bm::Place::here());
	check(made_at(ctx, t[12].get()) == made_at(ctx, t[13].get()), "the same place twice");
	check(bm::Place(file, 1, file).site() == bm::Place(file, 1, file).site() &&
	      bm::Place(file, 1, file).site() != bm::Place(file, 2, file).site(), "a place's site");
}

static void threads(const bm::Context &ctx)
{
	bm::Tensor t(ctx, BITMEM_U8, { 64 });
	std::vector<std::thread> all;

	for (int i = 0; i < 4; i++) {
		all.emplace_back([t] {
			for (int n = 0; n < 10000; n++) {
				bm::Tensor copy = t, moved = std::move(copy);

				copy = moved;
			}
		});
	}
	for (std::thread &thread : all)
		thread.join();
	all.clear();
	check(ctx.stats().live == 1 && ctx.stats().views == 0, "copies in threads");
}

static void sockets(const bm::Context &ctx)
{
	bm::Context other = open_with(BITMEM_TRACKING_SITES);
	int s[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s))
		return;
	bm::Tensor t = bm::Tensor::shareable(ctx, BITMEM_U8, { 1000 }), r;
	std::memset(t.data(), 7, t.bytes());
	t.send(s[0]);
	t = bm::Tensor();
	const int line = __LINE__ + 1;
	r = bm::Tensor::receive(other, s[1]);
	check(made_at(other, r.get()) == std::to_string(line) + " sockets", "place of receiver");
	auto span = r.span<unsigned char>();
	check(std::all_of(span.begin(), span.end(), [](int c) { return c == 7; }), "sent");
	check(thrown([&] { bm::Tensor(ctx, BITMEM_U8, { 1 }).send(s[0]); }) == EOPNOTSUPP,
	      "what cannot be sent");
	close(s[0]);
	check(thrown([&] { bm::Tensor::receive(other, s[1]); }) == ENODATA, "nothing to receive");
	close(s[1]);
}

static bool device_is_absent()
{
	const char *backend = std::getenv("BITMEM_BACKEND");
	int code;

	if (!backend || std::strcmp(backend, "device"))
		return false;
	code = thrown([] { bm::Context ctx; });
	return code == ENOENT || code == EACCES;
}

int main()
{
	std::printf("TAP version 13\n");
	if (device_is_absent()) {
		std::printf("1..0 # SKIP no bitmem device\n");
		return 0;
	}
	try {
		contexts();
		bm::Context ctx;
		references(ctx);
		views(ctx);
		shapes(ctx);
		names(ctx);
		weak_handles(ctx);
		scopes(ctx);
		places();
		threads(ctx);
		sockets(ctx);
		check(ctx.close() == 0, "nothing is left");
	} catch (const std::exception &error) {
		check(false, error.what());
	}
	std::printf("1..%d\n", checks);
	return failures ? 1 : 0;
}
