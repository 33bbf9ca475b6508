# SPDX-License-Identifier: GPL-2.0
# "bitmem run" on the device: what the module says of it. Sourced after device.sh.
# shellcheck shell=sh disable=SC2153,SC2154,SC2016

allocated()
{
	bitmem info --json | tr ',{' '\n\n' | sed -n 's/^ *"allocated": *//p' | awk '{ n += $1 } END { print n }'
}

is_as_before()
{
	[ "$(allocated)" = "$before" ]
}

before=$(allocated)
run bitmem run --backend device --require --tag 'some tag' "$PRELOAD/taker" 20
check "run: on the device" status_is 0
check "run: nothing stays" wait_for 20 is_as_before
bitmem run --backend device --require --tag 'some tag' "$PRELOAD/taker" 20 wait >/dev/null &
pid=$!
check "run: bitmem ps names its memory" wait_for 20 eval 'bitmem ps | grep -q "taker .* some tag$"'
kill -9 $pid
await $pid
check "run: it was killed" status_is 137
check "run: kill -9 leaves nothing" wait_for 20 is_as_before
run bitmem run --backend device --node 1000 --require "$PRELOAD/taker" 1
check "run --node: no such node" failed_with 'node: there is no node 1000'
run bitmem run --backend device --node 1000 "$PRELOAD/taker" 1
check "run --node: no such node is a warning without --require" eval \
	'status_is 0 && has "$OUT" "^well$" && has "$ERR" "there is no node 1000.*malloc()"'
