/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file bitmem.hpp
 * @brief libbitmem for C++17: objects that drop what they hold, and exceptions.
 *
 * A thin layer on the C functions, header only; what these say of threads, fork() and
 * memory holds here, too. Its namespace is bm, as bitmem is the name of the C structure.
 *
 * A function that fails throws std::system_error with the errno of the C function, in
 * std::generic_category(); nothing has changed then. An object that was moved from, or made
 * without arguments, holds nothing: it can be assigned to and destroyed, and no more.
 *
 * What makes a tensor takes note of the place where it is called, as the C macros do: it is the
 * last argument, and nobody needs to write it (see Place).
 */
#ifndef BITMEM_BITMEM_HPP
#define BITMEM_BITMEM_HPP

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <bitmem/bitmem.h>
#include <bitmem/lifetime.h>
#include <bitmem/share.h>

namespace bm {

/** Throws what @p code, an errno or negative errno, means, with the name of what failed. */
[[noreturn]] inline void fail(int code, const char *what)
{
	throw std::system_error(code < 0 ? -code : code, std::generic_category(), what);
}

/** A run of elements in memory that somebody else holds. */
template <class T> class Span {
public:
	Span() noexcept = default;
	/** @p size elements from @p data on. */
	Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

	/** The first element; nullptr of an empty default one. */
	T *data() const noexcept { return data_; }
	/** In elements. */
	std::size_t size() const noexcept { return size_; }
	/** Whether there are no elements. */
	bool empty() const noexcept { return !size_; }
	/** For range-based loops. */
	T *begin() const noexcept { return data_; }
	/** Past the last element. */
	T *end() const noexcept { return data_ + size_; }
	/** Not checked. */
	T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
	T *data_ = nullptr;
	std::size_t size_ = 0;
};

/** Element counts of the dimensions, the fastest last: { 2, 3 }, or a pointer and a number. */
class Shape {
public:
	/** The counts themselves, the fastest last. */
	Shape(std::initializer_list<std::uint64_t> counts) noexcept
		: Shape(counts.begin(), static_cast<unsigned int>(counts.size())) {}

	/** Copies @p ndims counts; that there are too many is found by who gets the shape. */
	Shape(const std::uint64_t *counts, unsigned int ndims) noexcept : ndims_(ndims)
	{
		std::copy_n(counts, std::min(ndims, max), counts_);
	}

	/** The counts. */
	const std::uint64_t *data() const noexcept { return counts_; }
	/** How many dimensions. */
	unsigned int ndims() const noexcept { return ndims_; }

private:
	static constexpr unsigned int max = BITMEM_MAX_DIMS;

	std::uint64_t counts_[max] = {};
	unsigned int ndims_;
};

/**
 * A place in code, for reports of what is alive. A function that makes tensors for others takes
 * theirs as a last argument of its own, "bm::Place place = bm::Place::here()", and hands it on.
 */
class Place {
public:
#if defined(__GNUC__) && !defined(BITMEM_NO_SITES)
	/** Where it stands; as a default argument, where the function is called. */
	static constexpr Place here(const char *file = __builtin_FILE(),
				    unsigned int line = __builtin_LINE(),
				    const char *function = __builtin_FUNCTION()) noexcept
	{
		return Place(file, line, function);
	}
#else
	/** None: it is an address in the program, where site() came to be. */
	static constexpr Place here() noexcept { return Place(nullptr, 0, nullptr); }
#endif

	/** Another place; static strings. */
	constexpr Place(const char *file, unsigned int line, const char *function) noexcept
		: file_(file), function_(function), line_(line) {}

	/** For the C functions that take one. */
	struct bitmem_site *site() const noexcept
	{
		return bitmem_site_of(file_, line_, function_);
	}

private:
	const char *file_, *function_;
	unsigned int line_;
};

/** A context, closed at the end of its life. Tensors may live longer. */
class Context {
public:
	/** bitmem_open(); what the exception says includes the library's words. */
	explicit Context(const struct bitmem_options *options = nullptr)
	{
		struct bitmem_options opt;
		struct bitmem_error error = {};

		/* Another version's structure is passed as it is. */
		if (!options || (options->size == sizeof(opt) && !options->error)) {
			if (options)
				opt = *options;
			else
				bitmem_options_init(&opt);
			opt.error = &error;
			options = &opt;
		}
		ctx_.reset(bitmem_open(options));
		if (!ctx_) {
			int code = errno;

			fail(code, (std::string("bitmem_open: ") + error.text).c_str());
		}
	}

	/** The C handle; it stays this object's. */
	struct bitmem *get() const noexcept { return ctx_.get(); }
	/** Whether it holds a context. */
	explicit operator bool() const noexcept { return ctx_ != nullptr; }

	/** bitmem_backend(). */
	enum bitmem_backend backend() const noexcept { return bitmem_backend(get()); }
	/** bitmem_trim(): bytes given back. */
	std::size_t trim() const noexcept { return bitmem_trim(get()); }

	/** bitmem_stats(). */
	struct bitmem_stats stats() const
	{
		struct bitmem_stats stats;

		stats.size = sizeof(stats);
		if (int ret = bitmem_stats(get(), &stats))
			fail(ret, "bitmem_stats");
		return stats;
	}

	/** bitmem_close() now; what was still live. The object then holds nothing. */
	std::size_t close() noexcept { return bitmem_close(ctx_.release()); }

private:
	struct Closer {
		void operator()(struct bitmem *ctx) const noexcept { bitmem_close(ctx); }
	};

	std::unique_ptr<struct bitmem, Closer> ctx_;
};

/** A reference to a tensor. A copy is one more reference to the same memory. */
class Tensor {
public:
	Tensor() noexcept = default;

	/** Takes over a reference that the caller has. */
	explicit Tensor(struct bitmem_tensor *tensor) noexcept : tensor_(tensor) {}

	/** bitmem_tensor_new(). */
	Tensor(const Context &ctx, enum bitmem_dtype dtype, const Shape &shape,
	       Place place = Place::here())
		: tensor_(bitmem_tensor_new_at(ctx.get(), dtype, shape.ndims(), shape.data(),
					       place.site()))
	{
		check("bitmem_tensor_new");
	}

	/** One more reference. */
	Tensor(const Tensor &other) noexcept : tensor_(bitmem_tensor_ref(other.tensor_)) {}
	/** The other's reference, which then holds nothing. */
	Tensor(Tensor &&other) noexcept : tensor_(std::exchange(other.tensor_, nullptr)) {}
	~Tensor() { bitmem_tensor_unref(tensor_); }

	/** Drops what it has for what @p other has. */
	Tensor &operator=(Tensor other) noexcept
	{
		std::swap(tensor_, other.tensor_);
		return *this;
	}

	/** bitmem_tensor_new_shareable(). */
	static Tensor shareable(const Context &ctx, enum bitmem_dtype dtype, const Shape &shape,
				Place place = Place::here())
	{
		Tensor tensor(bitmem_tensor_new_shareable_at(ctx.get(), dtype, shape.ndims(),
							     shape.data(), place.site()));

		tensor.check("bitmem_tensor_new_shareable");
		return tensor;
	}

	/** bitmem_tensor_zeros(). */
	static Tensor zeros(const Context &ctx, enum bitmem_dtype dtype, const Shape &shape,
			    Place place = Place::here())
	{
		Tensor tensor(bitmem_tensor_zeros_at(ctx.get(), dtype, shape.ndims(), shape.data(),
						     place.site()));

		tensor.check("bitmem_tensor_zeros");
		return tensor;
	}

	/** bitmem_tensor_find(); empty if there is none of that name. */
	static Tensor find(const Context &ctx, const std::string &name) noexcept
	{
		return Tensor(bitmem_tensor_find(ctx.get(), name.c_str()));
	}

	/** bitmem_tensor_receive(); what the exception says includes the library's words. */
	static Tensor receive(const Context &ctx, int socket, Place place = Place::here())
	{
		struct bitmem_error error;
		Tensor tensor(bitmem_tensor_receive_at(ctx.get(), socket, &error, place.site()));

		if (!tensor)
			fail(error.code,
			     (std::string("bitmem_tensor_receive: ") + error.text).c_str());
		return tensor;
	}

	/** bitmem_tensor_send(). */
	void send(int socket) const
	{
		if (int ret = bitmem_tensor_send(socket, tensor_))
			fail(ret, "bitmem_tensor_send");
	}

	/** bitmem_tensor_view(); @p offset in bytes. */
	Tensor view(enum bitmem_dtype dtype, const Shape &shape, std::size_t offset = 0,
		    Place place = Place::here()) const
	{
		Tensor tensor(bitmem_tensor_view_at(tensor_, dtype, shape.ndims(), shape.data(),
						    offset, place.site()));

		tensor.check("bitmem_tensor_view");
		return tensor;
	}

	/** bitmem_tensor_reshape(); what the exception says includes the library's words. */
	Tensor reshape(const Shape &shape, Place place = Place::here()) const
	{
		struct bitmem_error error;

		return viewed(bitmem_tensor_reshape_at(tensor_, shape.ndims(), shape.data(),
						       &error, place.site()),
			      "bitmem_tensor_reshape: ", error);
	}

	/** bitmem_tensor_slice(); what the exception says includes the library's words. */
	Tensor slice(std::uint64_t start, std::uint64_t count, Place place = Place::here()) const
	{
		struct bitmem_error error;

		return viewed(bitmem_tensor_slice_at(tensor_, start, count, &error, place.site()),
			      "bitmem_tensor_slice: ", error);
	}

	/**
	 * bitmem_tensor_part(), EINVAL if @p start and @p count have not as many dimensions as
	 * the tensor; what the exception says includes the library's words.
	 */
	Tensor part(const Shape &start, const Shape &count, Place place = Place::here()) const
	{
		const unsigned int ndims = bitmem_tensor_ndims(tensor_);
		struct bitmem_error error;

		if (start.ndims() != ndims || count.ndims() != ndims)
			fail(EINVAL, "bm::Tensor::part");
		return viewed(bitmem_tensor_part_at(tensor_, start.data(), count.data(), &error,
						    place.site()),
			      "bitmem_tensor_part: ", error);
	}

	/** bitmem_tensor_clone(): another tensor, the same memory. A C++ copy is a reference. */
	Tensor clone(Place place = Place::here()) const
	{
		Tensor tensor(bitmem_tensor_clone_at(tensor_, place.site()));

		tensor.check("bitmem_tensor_clone");
		return tensor;
	}

	/** bitmem_tensor_copy(): memory of its own in @p ctx, the same content. */
	Tensor copy(const Context &ctx, Place place = Place::here()) const
	{
		Tensor tensor(bitmem_tensor_copy_at(ctx.get(), tensor_, place.site()));

		tensor.check("bitmem_tensor_copy");
		return tensor;
	}

	/** bitmem_tensor_set_name(); "" takes the name away. */
	void set_name(const std::string &name)
	{
		if (int ret = bitmem_tensor_set_name(tensor_, name.c_str()))
			fail(ret, "bitmem_tensor_set_name");
	}

	/** "" if it has none. */
	std::string name() const
	{
		char text[BITMEM_NAME_MAX + 1];

		if (int ret = bitmem_tensor_name(tensor_, text, sizeof(text)); ret < 0)
			fail(ret, "bitmem_tensor_name");
		return text;
	}

	/** bitmem_tensor_set_tag(); "" takes the tag away. */
	void set_tag(const std::string &tag)
	{
		if (int ret = bitmem_tensor_set_tag(tensor_, tag.c_str()))
			fail(ret, "bitmem_tensor_set_tag");
	}

	/** "" if it has none. */
	std::string tag() const
	{
		char text[BITMEM_TAG_MAX + 1];

		if (int ret = bitmem_tensor_tag(tensor_, text, sizeof(text)); ret < 0)
			fail(ret, "bitmem_tensor_tag");
		return text;
	}

	/** The C handle; its reference stays this object's. */
	struct bitmem_tensor *get() const noexcept { return tensor_; }
	/** The C handle with its reference, which is the caller's then. */
	struct bitmem_tensor *release() noexcept { return std::exchange(tensor_, nullptr); }
	/** Whether it holds a tensor. */
	explicit operator bool() const noexcept { return tensor_; }

	/** bitmem_tensor_data(). */
	void *data() const noexcept { return bitmem_tensor_data(tensor_); }
	/** bitmem_tensor_bytes(). */
	std::size_t bytes() const noexcept { return bitmem_tensor_bytes(tensor_); }
	/** bitmem_tensor_dtype(). */
	enum bitmem_dtype dtype() const noexcept { return bitmem_tensor_dtype(tensor_); }

	/** bitmem_tensor_shape(): as long as the tensor lives. */
	Span<const std::uint64_t> shape() const noexcept
	{
		return { bitmem_tensor_shape(tensor_), bitmem_tensor_ndims(tensor_) };
	}

	/**
	 * The elements as @p T, or the bytes if T has one byte. EINVAL if T has another
	 * size than the tensor's elements, or needs another alignment than a view has.
	 */
	template <class T> Span<T> span() const
	{
		static_assert(std::is_trivially_copyable_v<T>, "elements are plain bytes");
		const struct bitmem_dtype_info *info = bitmem_dtype_info(dtype());
		bool is_element = info->block_elements == 1 && info->block_bits == 8 * sizeof(T);

		if ((sizeof(T) != 1 && !is_element) ||
		    reinterpret_cast<std::uintptr_t>(data()) % alignof(T))
			fail(EINVAL, "bm::Tensor::span");
		return { static_cast<T *>(data()), bytes() / sizeof(T) };
	}

private:
	void check(const char *what) const
	{
		if (!tensor_)
			fail(errno, what);
	}

	static Tensor viewed(struct bitmem_tensor *view, const char *what,
			     const struct bitmem_error &error)
	{
		if (!view)
			fail(error.code, (std::string(what) + error.text).c_str());
		return Tensor(view);
	}

	struct bitmem_tensor *tensor_ = nullptr;
};

} /* namespace bm */

#endif /* BITMEM_BITMEM_HPP */
