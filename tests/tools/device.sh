# SPDX-License-Identifier: GPL-2.0
# The tool on the device, as root: in a guest (with nothing but busybox) or on a host. Wants
# $DATA with models/*, bad/* and, for each model, tables/NAME from the independent reader.
# Nobody else may use the device meanwhile. Sourced after tap.sh.
# shellcheck shell=sh disable=SC2153,SC2154

device=${BITMEM_DEVICE:-/dev/bitmem}

# sum KEY: of all members KEY in the JSON on stdin.
sum()
{
	grep -o "\"$1\":[0-9]*" | awk -F: '{ n += $2 } END { printf "%.0f\n", n }'
}

pool()
{
	bitmem info --json | sum "$1"
}

allocated_is()
{
	[ "$(pool allocated)" = "$1" ]
}

adds_up()
{
	[ "$(sum capacity <"$OUT")" = "$(grep -oE \
		'"(zeroed|dirty|allocated|quarantined|retired)":[0-9]*' "$OUT" |
		awk -F: '{ n += $2 } END { printf "%.0f\n", n }')" ]
}

is_whole()
{
	bitmem info --json >"$WORK/info" && [ "$(sum allocated <"$WORK/info")" = "$before" ] &&
		[ "$(sum dirty <"$WORK/info")" = 0 ] &&
		[ "$(sum quarantined <"$WORK/info")" = 0 ]
}

# Everything given back: at once what is asked for, zeroed a moment later.
check_whole()
{
	wait_for 30 is_whole
	check "$1: the pool is whole again" is_whole
}

run bitmem info --wait=60 --json
check "info --wait: succeeds" succeeded
check "info --wait: no pool is being filled" has "$OUT" '"filling":false'
check "info: every pool is full" test "$(sum capacity <"$OUT")" = "$(sum target <"$OUT")"
check "info: abi" has "$OUT" '"abi":1,'
check "info: counters add up" adds_up
check "info: one line of JSON" lines_are "$OUT" 1
before=$(sum allocated <"$OUT")
capacity=$(sum capacity <"$OUT")
run bitmem info
check "info: text succeeds" succeeded
check "info: shows the pools' state" has "$OUT" '^state  *ready'
check "info: shows the capacity" has "$OUT" '^capacity  *[0-9.]* [MG]iB'
run full bitmem info
check "info: stdout full" failed_with 'stdout: No space left'
run full bitmem ps --json
check "ps: stdout full" failed_with 'stdout: No space left'

run bitmem ps
check "ps: nobody holds anything" test "$(sed 1d "$OUT" | grep -c '[0-9] *bitmem')" = 0
check "ps: does not show itself" lines_are "$OUT" 3

for model in "$DATA"/models/*; do
	name=${model##*/}
	run bitmem load --backend device --json --sha256 "$model"
	check "load: $name: succeeds" succeeded
	check "load: $name: on the device" has "$OUT" '"backend":"device"'
	run bitmem load --sha256 "$model"
	sed -n '2,/^$/p' "$OUT" | sed '/^$/d' | tr -s ' ' | sort >"$WORK/table"
	check "load: $name: tensors as in the file" cmp "$WORK/table" "$DATA/tables/$name"
	check "load: $name: the device is what it takes by itself" has "$OUT" 'backend device'
done
check_whole "load"

for model in "$DATA"/bad/*; do
	name=$(basename "$model" | tr -c 'A-Za-z0-9.\n-' '?' | tr '\n' '?')
	run bitmem load --backend device "$model"
	check "load: bad/$name is refused" failed_with "^bitmem: $DATA/bad/.*: .*"
done
check "load: bad files leave nothing behind" allocated_is "$before"
run bitmem load --backend device --node 0 "$DATA/models/plain.gguf"
check "load --node 0" succeeded
run bitmem load --backend device --node 77 "$DATA/models/plain.gguf"
check "load --node 77: no such node" failed_with 'node.* 77'

# sparse FILE BYTES: a model of zeroes that takes no room.
sparse()
{
	header="{\"big\":{\"dtype\":\"U8\",\"shape\":[$2],\"data_offsets\":[0,$2]}}"
	{
		# shellcheck disable=SC2059 # the octal length is the format
		printf "\\$(printf %03o ${#header})\\0\\0\\0\\0\\0\\0\\0"
		printf %s "$header"
	} >"$1"
	truncate -s $((8 + ${#header} + $2)) "$1"
}

sparse "$WORK/large.safetensors" $((2 * capacity))
run bitmem load --backend device "$WORK/large.safetensors"
check "load: more than the pools have" failed_with 'large.safetensors: '
check "load: more than the pools have, nothing left" allocated_is "$before"

sparse "$WORK/slow.safetensors" $((capacity / 2))
bitmem load --backend device --buffered --window 4096 --queue-depth 1 \
	"$WORK/slow.safetensors" >"$OUT" 2>"$ERR" </dev/null &
pid=$!
more_allocated()
{
	! allocated_is "$before"
}
wait_for 20 more_allocated
kill -INT $pid
await $pid
check "load: SIGINT ends it with 130" status_is 130
check "load: SIGINT is told in one line" lines_are "$ERR" 1
check_whole "load: SIGINT"

bitmem load --hold "$DATA/models/plain.gguf" >"$OUT" 2>"$ERR" </dev/null &
pid=$!
wait_for 20 grep -q '^holding' "$ERR"
held=$(sed -n 's/^holding \([0-9]*\) bytes, pid '$pid'$/\1/p' "$ERR")
check "load --hold: holds what the pools miss" allocated_is $((before + held))
run bitmem ps
check "ps: shows the holder" has "$OUT" "^ *[0-9]*  $pid  *bitmem  *[1-9]"
run bitmem ps --json
check "ps: bytes of the holder" has "$OUT" \
	"\"processes\":\[{\"pid\":$pid,\"comm\":\"bitmem\"}\],\"buffers\":[1-9][0-9]*,\"bytes\":$held,"
check "ps: accounts for all" has "$OUT" "\"accounted\":$held,\"unaccounted\":$before,"
kill -KILL $pid
await "$pid"
check_whole "kill -9 of the holder"
run bitmem ps
check "ps: the holder is gone" test "$(grep -c "  $pid  " "$OUT")" = 0

# start_holder WAY [TEXT]: sets $pid, $bytes and $child.
start_holder()
{
	: >"$WORK/holder"
	holder "$@" >"$WORK/holder" 2>&1 </dev/null &
	pid=$!
	wait_for 20 grep -q '^ready' "$WORK/holder"
	bytes=$(awk '{ print $2 }' "$WORK/holder")
	child=$(awk '{ print $4 }' "$WORK/holder")
}

end_holder()
{
	kill -KILL "$pid"
	await "$pid"
	check_whole "holder $1"
}

start_holder share
run bitmem ps --json
check "ps: a shared file is counted once" has "$OUT" "\"accounted\":$bytes,"
check "ps: a shared file names both processes" has "$OUT" \
	"{\"pid\":$pid,[^{]*},{\"pid\":$child,[^{]*}"
run bitmem ps
check "ps: both PIDs are in one row" has "$OUT" "  $pid,$child  *holder .*shared$"
end_holder share

start_holder map
run bitmem ps --json
check "ps: a mapping without descriptor is found" has "$OUT" \
	"\"mappers\":\[{\"process\":{\"pid\":$pid,\"comm\":\"holder\"},\"mapped_bytes\":$bytes}\]"
check "ps: its file is shown without processes" has "$OUT" \
	"\"owner\":$pid,\"processes\":\[\],\"buffers\":1,\"bytes\":$bytes,.*\"tag\":\"mapped\""
check "ps: its bytes are accounted for" has "$OUT" \
	"\"accounted\":$bytes,\"unaccounted\":$before,"
run bitmem ps
check "ps: says that it is mapped" has "$OUT" "  $pid  *holder .*descriptor closed"
end_holder map

start_holder flight
run bitmem ps --json
check "ps: a file in flight is accounted for" has "$OUT" \
	"\"processes\":\[\],\"buffers\":1,.*\"mappers\":\[\],.*\"accounted\":$bytes,\"unaccounted\":$before,"
run bitmem ps
check "ps: shows it" has "$OUT" "^ *[0-9]*  -  *-  *1 .*flight$"
end_holder flight

start_holder many
run bitmem ps --json
check "ps: counts buffers that are not listed" has "$OUT" "\"buffers\":70,\"bytes\":$bytes,"
check "ps: lists the first 64" test "$(grep -o '"mappings":' "$OUT" | grep -c .)" = 64
run bitmem ps
check "ps: names each tag once" has "$OUT" 'even, odd$'
end_holder many

start_holder tag
run bitmem ps
check "ps: a wild tag does not reach the terminal" is_harmless "$OUT"
check "ps: a wild tag stays in its row" lines_are "$OUT" 4
run bitmem ps --json
check "ps: a wild tag is still one line of JSON" lines_are "$OUT" 1
check "ps: JSON has no bytes that are not UTF-8" has "$OUT" 'end\\uFFFD"'
end_holder tag

# as_nobody COMMAND...
as_nobody()
{
	su -s /bin/sh nobody -c "PATH=$PATH LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-} $*"
}

mode=$(stat -c %a "$device")
bitmem load --hold "$DATA/models/plain.gguf" >"$WORK/held" 2>&1 </dev/null &
pid=$!
wait_for 20 grep -q '^holding' "$WORK/held"
chmod 600 "$device"
run as_nobody bitmem ps
check "ps: not permitted to open the device" failed_with "$device: Permission denied (try as root"
run as_nobody bitmem load --backend device "$DATA/models/plain.gguf"
check "load: not permitted to open the device" failed_with "$device: Permission denied (try as root"
chmod 666 "$device"
run as_nobody bitmem ps
check "ps: works for others" succeeded
check "ps: says what it may not see" has "$OUT" \
	"bytes ([^)]*) of them by no file seen here; [1-9][0-9]* processes not permitted"
chmod "$mode" "$device"
kill -TERM $pid
await $pid
check "load --hold: ends with 0 at SIGTERM" status_is 0
check_whole "at the end"
