/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file pressure.h
 * @brief How tight memory is, who is told, and when cached free memory goes back.
 *
 * Freeing a block or dropping a tensor always takes effect at once. What is
 * decided here is only when memory that is free already, and that a context
 * keeps for its next allocation, goes back to where it came from.
 *
 * What goes by itself is done by the context's keeper, a thread that is started
 * when there is something for it to do: by the first bitmem_pressure_watch(), or
 * once a context with a strategy holds memory. It has all signals blocked and is
 * called "bitmem-keeper". bitmem_close() ends it.
 *
 * Across fork() the child has the watches and the strategy but no keeper; it
 * gets one of its own when it sets a strategy, watches, or takes memory. While a
 * keeper gives memory back, fork() waits for it.
 */
#ifndef BITMEM_PRESSURE_H
#define BITMEM_PRESSURE_H

#include <bitmem/bitmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How tight memory is. A level begins when so much of the memory is in use, and
 * ends five points of a percentage below that.
 *
 * On the device the memory is the pools', with what they could still grow by: that
 * of the node which the context prefers, or else of all nodes together. A pool
 * below its low watermark makes it BITMEM_PRESSURE_MEDIUM at least, one below its
 * emergency watermark BITMEM_PRESSURE_CRITICAL. On memfd it is the host's, or
 * that of a control group (version 2) around the process if less is left there.
 *
 * While processes wait for memory for a tenth of the time (the kernel's pressure
 * stall information), the level is one higher, if there is a higher one.
 *
 * Of a context with several pools (pools.h) the tightest one's memory counts.
 */
enum bitmem_pressure {
	/** Enough, or nothing is known. */
	BITMEM_PRESSURE_NONE = 0,
	/** From 60 % in use, until below 55 %. */
	BITMEM_PRESSURE_LOW = 1,
	/** From 80 %, until below 75 %. */
	BITMEM_PRESSURE_MEDIUM = 2,
	/** From 90 %, until below 85 %. */
	BITMEM_PRESSURE_HIGH = 3,
	/** From 95 %, until below 90 %. */
	BITMEM_PRESSURE_CRITICAL = 4,
};

/** "none", "low", "medium", "high" or "critical"; NULL for anything else. */
BITMEM_API const char *bitmem_pressure_name(enum bitmem_pressure level);

/**
 * Measures how tight memory is now. What cannot be read counts as enough.
 * @return the level.
 */
BITMEM_API enum bitmem_pressure bitmem_pressure(struct bitmem *ctx);

/**
 * Is told of a level. It runs on the context's keeper, one at a time, with no lock
 * of the library held: it may call any function of the library. While it runs no
 * memory goes back by itself and nobody else is told, so it should be short.
 */
typedef void (*bitmem_pressure_fn)(struct bitmem *ctx, enum bitmem_pressure level, void *arg);

/**
 * Has @p callback called whenever the level changes, and it was or is at least
 * @p min_level: so the end of it is told, too. A watch starts from
 * BITMEM_PRESSURE_NONE, and is told soon if the level is @p min_level or more
 * already. Each change that the keeper sees is told once, in order. It looks every
 * sample_ms (see struct bitmem_strategy), and when the kernel tells it to.
 * @param ctx  whose memory; closing it ends the watch.
 * @param min_level  BITMEM_PRESSURE_LOW to BITMEM_PRESSURE_CRITICAL.
 * @param callback  what is called.
 * @param arg  handed to @p callback; the caller's.
 * @param id   is set to the watch's name, for bitmem_pressure_unwatch(), before
 *             the first call of @p callback.
 * @return 0; -EINVAL (@p min_level, no @p callback, no @p id); -ENOMEM; -EAGAIN or
 *         -EMFILE if there can be no thread or no descriptor for it.
 */
BITMEM_API int bitmem_pressure_watch(struct bitmem *ctx, enum bitmem_pressure min_level,
				     bitmem_pressure_fn callback, void *arg, uint64_t *id);

/**
 * Ends a watch. When this returns, its callback is not running any more and will
 * not be called again. It waits for a callback that is running; not so when called
 * from that callback. So it must not be called with a lock held that the callback
 * takes.
 * @return 0; -ENOENT if there is no such watch (any more).
 */
BITMEM_API int bitmem_pressure_unwatch(struct bitmem *ctx, uint64_t id);

/** Free memory goes back that was not needed for idle_ms, piece by piece. */
#define BITMEM_RETURN_IDLE	(1u << 0)
/**
 * Free memory goes back when the pressure rises to level or above, and while it lasts: that of
 * all contexts of the process, whatever their strategies.
 */
#define BITMEM_RETURN_PRESSURE	(1u << 1)
/** Free memory goes back every period_ms. */
#define BITMEM_RETURN_PERIODIC	(1u << 2)

/** The shortest time, in milliseconds, that a strategy may ask for. */
#define BITMEM_STRATEGY_MIN_MS	10

/**
 * When free memory goes back by itself. bitmem_trim() gives it back at any time; and before a
 * request fails for want of memory, all that is free in the process goes back.
 *
 * The defaults are for a server that answers requests. Each one takes and frees
 * the same memory again, and the next may come in a millisecond or in some
 * seconds: what one has freed is kept for the next, as long as nobody is short of
 * memory. It goes back when somebody is (from 80 % in use on, and then every ten
 * seconds at most, so that a server under lasting pressure does not fetch its
 * memory anew for each request), or when it was not needed for a minute: what
 * the busiest requests needed does not stay for those that need less.
 */
struct bitmem_strategy {
	/** sizeof(struct bitmem_strategy) as the caller was compiled, see bitmem_options. */
	size_t size;
	/** Filled in when bitmem_set_strategy() fails, if not NULL. The caller's. */
	struct bitmem_error *error;
	/** BITMEM_RETURN_*; 0: no memory goes back by itself. IDLE and PRESSURE. */
	unsigned int flags;
	/** BITMEM_RETURN_PRESSURE: from this level on. BITMEM_PRESSURE_MEDIUM. */
	enum bitmem_pressure level;
	/** BITMEM_RETURN_PRESSURE: again after so many ms, while it lasts. 10,000. */
	unsigned int pressure_ms;
	/**
	 * BITMEM_RETURN_IDLE: memory that was not needed for so many ms, and not after more than
	 * twice as many, or three times where a cache had it. 60,000.
	 */
	unsigned int idle_ms;
	/** BITMEM_RETURN_PERIODIC: every so many ms. 60,000. */
	unsigned int period_ms;
	/** How often the keeper looks at the pressure, for watches too: every so many ms. 1,000. */
	unsigned int sample_ms;
};

/**
 * Fills @p strategy of @p size bytes with the defaults, and nothing beyond, for who
 * cannot call bitmem_strategy_init(). Members that the library does not know become 0.
 */
BITMEM_API void bitmem_strategy_init_sized(struct bitmem_strategy *strategy, size_t size);

/** Fills @p strategy with the defaults. */
static inline void bitmem_strategy_init(struct bitmem_strategy *strategy)
{
	bitmem_strategy_init_sized(strategy, sizeof(*strategy));
}

/**
 * Sets when free memory goes back by itself. A context is opened with flags 0, so
 * that nobody has a thread who did not ask for it.
 * @param ctx       whose memory.
 * @param strategy  set up by bitmem_strategy_init(); NULL for the defaults.
 * @return 0; -EINVAL for a member that cannot be right (all are checked, also those
 *         that the flags do not use); -EAGAIN, -EMFILE or -ENOMEM if the keeper
 *         cannot be started. On failure the strategy is what it was.
 */
BITMEM_API int bitmem_set_strategy(struct bitmem *ctx, const struct bitmem_strategy *strategy);

/**
 * Reads the strategy. strategy->size is the caller's, error is left as it is.
 * @return 0; -EINVAL if strategy->size is less than the first version's.
 */
BITMEM_API int bitmem_get_strategy(struct bitmem *ctx, struct bitmem_strategy *strategy);

/** What went back for one reason. */
struct bitmem_returns {
	/** How often free memory was looked for. */
	uint64_t runs;
	/** Bytes that really went back. */
	uint64_t bytes;
};

/** What went back, by reason, since the context was opened. */
struct bitmem_strategy_stats {
	/** sizeof(struct bitmem_strategy_stats) as the caller was compiled. */
	size_t size;
	/** By bitmem_trim(). */
	struct bitmem_returns on_call;
	/** By BITMEM_RETURN_IDLE, BITMEM_RETURN_PRESSURE and BITMEM_RETURN_PERIODIC. */
	struct bitmem_returns on_idle, on_pressure, on_period;
};

/**
 * Reads what went back; members that the library does not know are set to 0.
 * @return 0; -EINVAL if stats->size is less than the first version's.
 */
BITMEM_API int bitmem_strategy_stats(struct bitmem *ctx, struct bitmem_strategy_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_PRESSURE_H */
