# SPDX-License-Identifier: GPL-2.0
# What in a kernel log means that something is wrong with the kernel. Sourced, never run.
# shellcheck shell=bash

SPLATS=(
	'WARNING: '
	'BUG: '
	'kernel BUG at'
	'Oops: '
	'Call Trace'
	'Kernel panic'
	'general protection fault[:,]'
	'[Uu]nable to handle kernel'
	'possible (circular|recursive) locking'
	'possible irq lock inversion'
	'inconsistent lock state'
	'suspicious RCU usage'
	'KASAN: ' 'KCSAN: ' 'KMSAN: ' 'KFENCE: ' 'UBSAN: '
	'kmemleak: [0-9]+ new suspected'
	'Bad page'
	'Bad rss-counter'
	'[Bb]ad swap file entry'
	'refcount_t: '
	'rcu: INFO: .*stall'
	'self-detected stall'
	'soft lockup'
	'hard LOCKUP'
	'blocked for more than [0-9]+ seconds'
	'DMA-API: '
	'ODEBUG: '
	'list_(add|del) corruption'
)

# Flags the kernel sets on itself: machine check, bad page, oops, warning, soft lockup.
BAD_TAINT=$(((1 << 4) | (1 << 5) | (1 << 7) | (1 << 9) | (1 << 14)))

taint_is_bad()
{
	[ $(($1 & BAD_TAINT)) -ne 0 ]
}

# splats LOG...: prints each offending line once, with what surrounds it; false if
# there are none. The same message is in the log and on the console.
splats()
{
	local pattern

	pattern=$(IFS='|' && echo "${SPLATS[*]}")
	cat "$@" | tr -d '\r' | awk '!seen[$0]++' | grep -aE -B 3 -A 25 -e "$pattern"
}
