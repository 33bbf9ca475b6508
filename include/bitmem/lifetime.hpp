/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file lifetime.hpp
 * @brief Weak handles and scopes for C++17, as bitmem.hpp does the rest.
 */
#ifndef BITMEM_LIFETIME_HPP
#define BITMEM_LIFETIME_HPP

#include <bitmem/bitmem.hpp>

namespace bm {

/** A weak handle: bitmem_tensor_weak(). A plain value, that keeps nothing alive. */
class Weak {
public:
	/** A handle of nothing. */
	Weak() noexcept = default;

	/** bitmem_tensor_weak(). */
	explicit Weak(const Tensor &tensor)
	{
		if (int ret = bitmem_tensor_weak(tensor.get(), &weak_))
			fail(ret, "bitmem_tensor_weak");
	}

	/** bitmem_weak_get(); empty if the tensor has gone. */
	Tensor lock() const noexcept { return Tensor(bitmem_weak_get(&weak_)); }

private:
	struct bitmem_weak weak_ = {};
};

/**
 * A scope of tensors, closed at the end of its life. What it makes is the scope's: a C handle
 * for use until then, which take() makes an object that lives on. A scope within another one
 * ends before the context does, also as an object.
 */
class Scope {
public:
	/** bitmem_scope_open(). */
	explicit Scope(const Context &ctx) : scope_(bitmem_scope_open(ctx.get()))
	{
		if (!scope_)
			fail(errno, "bitmem_scope_open");
	}

	/** bitmem_scope_open_in(): a scope within this one. */
	Scope open()
	{
		Scope inner(bitmem_scope_open_in(get()));

		if (!inner)
			fail(errno, "bitmem_scope_open_in");
		return inner;
	}

	/** The C handle; it stays this object's. */
	struct bitmem_scope *get() const noexcept { return scope_.get(); }
	/** Whether it holds a scope. */
	explicit operator bool() const noexcept { return scope_ != nullptr; }
	/** References in it. */
	std::size_t count() const noexcept { return bitmem_scope_count(get()); }

	/** bitmem_scope_tensor(). */
	struct bitmem_tensor *tensor(enum bitmem_dtype dtype, const Shape &shape,
				     Place place = Place::here())
	{
		return checked(bitmem_scope_tensor_at(get(), dtype, shape.ndims(), shape.data(),
						      place.site()),
			       "bitmem_scope_tensor");
	}

	/** bitmem_scope_empty(). */
	struct bitmem_tensor *empty(enum bitmem_dtype dtype, const Shape &shape,
				    Place place = Place::here())
	{
		return checked(bitmem_scope_empty_at(get(), dtype, shape.ndims(), shape.data(),
						     place.site()),
			       "bitmem_scope_empty");
	}

	/** bitmem_scope_add(): the object's reference becomes the scope's. */
	struct bitmem_tensor *add(Tensor tensor)
	{
		if (int ret = bitmem_scope_add(get(), tensor.get()))
			fail(ret, "bitmem_scope_add");
		return tensor.release();
	}

	/** bitmem_scope_keep(): moves it to the scope around. */
	void keep(struct bitmem_tensor *tensor)
	{
		if (int ret = bitmem_scope_keep(get(), tensor))
			fail(ret, "bitmem_scope_keep");
	}

	/** bitmem_scope_take(). */
	Tensor take(struct bitmem_tensor *tensor)
	{
		if (int ret = bitmem_scope_take(get(), tensor))
			fail(ret, "bitmem_scope_take");
		return Tensor(tensor);
	}

	/** bitmem_scope_close() now, with all scopes within. The object then holds nothing. */
	void close() noexcept { scope_.reset(); }

private:
	struct Closer {
		void operator()(struct bitmem_scope *scope) const noexcept
		{
			bitmem_scope_close(scope);
		}
	};

	explicit Scope(struct bitmem_scope *scope) noexcept : scope_(scope) {}

	static struct bitmem_tensor *checked(struct bitmem_tensor *tensor, const char *what)
	{
		if (!tensor)
			fail(errno, what);
		return tensor;
	}

	std::unique_ptr<struct bitmem_scope, Closer> scope_;
};

} /* namespace bm */

#endif /* BITMEM_LIFETIME_HPP */
