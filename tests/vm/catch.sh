# SPDX-License-Identifier: GPL-2.0
# That the net catches fish: each mistake of splat/ on the kernels that are built to notice it,
# one guest for each, for the first report is the last one to trust. Sourced by selftest.
# shellcheck shell=bash

# Lines "MISTAKE PATTERN": what kernel K must catch, and the words it says so with.
catches()
{
	echo 'warning planted by the guest kit'
	case $1 in
	debug*)
		cat <<-'END'
			use-after-free BUG: KASAN: (slab-)?use-after-free in splat
			out-of-bounds BUG: KASAN: slab-out-of-bounds in splat
			page-use-after-free BUG: KASAN: use-after-free in splat
			lock-inversion possible circular locking dependency
			sleep-in-atomic sleeping function called from invalid context
			rcu-without-lock suspicious RCU usage
			refcount refcount_t: (decrement hit 0|underflow)
			refcount-revived refcount_t: addition on 0
			page-reference kernel BUG at include/linux/(mm|page_ref)\.h
			page-state Bad page state
			shift UBSAN: shift-out-of-bounds
			list list_del corruption
			object ODEBUG: free active
			dma DMA-API: .*tries to free DMA memory it has not allocated
			leak unreferenced object
		END
		;;
	kcsan)
		echo 'data-race BUG: KCSAN: data-race in splat_racer'
		echo 'sleep-in-atomic sleeping function called from invalid context'
		;;
	esac
}

# catch_guest MISTAKE: with the option that looks for leaks where that is the mistake.
catch_guest()
{
	local mistake=$1 options=(-M -m 768 -a "$DIR/splat/splat.ko")

	[ "$mistake" != leak ] || options+=(-L)
	guest "catch-$mistake" "${options[@]}" -- insmod splat.ko "what=$mistake"
}

# Two at a time.
catch_guests()
{
	local mistakes lane i

	mapfile -t mistakes < <(catches "$KERNEL" | cut -d ' ' -f 1)
	for lane in 0 1; do
		for ((i = lane; i < ${#mistakes[@]}; i += 2)); do
			catch_guest "${mistakes[i]}"
		done &
	done
	wait
}

check_catches()
{
	local mistake pattern

	while read -r mistake pattern; do
		check "$mistake: 125" exited "catch-$mistake" 125
		check "$mistake: the report is shown" \
			grep -qE -e "$pattern" "$DIR/catch-$mistake.err"
	done < <(catches "$KERNEL")
}
