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
	'possible (reason: )?unsafe locking'
	'[Bb]ad unlock balance'
	'held lock freed'
	'lock held when returning to user space'
	'Invalid wait context'
	'sleeping function called from invalid context'
	'scheduling while atomic'
	'page_table_check: '
	'Object .* corrupt'
	'inconsistent lock state'
	'suspicious RCU usage'
	'KASAN: ' 'KCSAN: ' 'KMSAN: ' 'KFENCE: ' 'UBSAN: '
	'kmemleak: [0-9]+ (new suspected|unreferenced)'
	'Bad page'
	'Bad rss-counter'
	'[Bb]ad swap file entry'
	'refcount_t: '
	'rcu: INFO: .*stall'
	'self-detected stall'
	'soft lockup'
	'hard LOCKUP'
	'blocked for more than [0-9]+ seconds'
	'DMA-API: [^ ]+ [^ ]+: '
	'DMA-API: .*(out of memory|ENOMEM|disabling)'
	'ODEBUG: '
	'list_(add|del) corruption'
)

# Flags the kernel sets on itself: machine check, bad page, oops, warning, soft lockup.
BAD_TAINT=$(((1 << 4) | (1 << 5) | (1 << 7) | (1 << 9) | (1 << 14)))

taint_is_bad()
{
	[ $(($1 & BAD_TAINT)) -ne 0 ]
}

# kcsan_ours LOG...: without the kernel's own data races, which it has and we cannot mend: those
# in whose report no module of ours appears. A report ends with a line of equal signs.
kcsan_ours()
{
	cat "$@" | awk '
		function flush_report()
		{
			if (ours)
				printf "%s", report
			report = ""
			inside = ours = 0
		}
		/BUG: KCSAN: / {
			if (inside)
				flush_report()
			inside = 1
		}
		inside {
			report = report $0 "\n"
			if (/\[(bitmem|splat)\]/)
				ours = 1
			if (/====================/)
				flush_report()
			next
		}
		{ print }
		END { flush_report() }'
}

# splats LOG...: prints each offending line once, with what surrounds it; false if
# there are none. The same message is in the log and on the console.
splats()
{
	local pattern

	pattern=$(IFS='|' && echo "${SPLATS[*]}")
	kcsan_ours "$@" | tr -d '\r' | awk '!seen[$0]++' | grep -aE -B 3 -A 25 -e "$pattern"
}
