# SPDX-License-Identifier: GPL-2.0
# trace on the device, as root. Sourced after explain_device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

tracing=/sys/kernel/tracing

# start_trace OPTION...: sets $trace.
start_trace()
{
	: >"$ERR"
	bitmem trace "$@" >"$OUT" 2>"$ERR" </dev/null &
	trace=$!
	wait_for 30 grep -q '^tracing' "$ERR"
}

no_instances()
{
	! ls "$tracing/instances" | grep .
}

start_trace --json --timeout 60
check "trace: says that it listens" has "$ERR" "^tracing, pid $trace\$"
check "trace: in an instance of its own" test -d "$tracing/instances/bitmem-tool-$trace"
start_holder share-out
kill -KILL "$pid"
await "$pid"
wait_for 30 grep -q '"event":"reclaim"' "$OUT"
wait_for 30 eval '[ "$(grep -c "\"event\":\"free\"" "$OUT")" = 2 ]'
check "trace: who allocates what" has "$OUT" \
	"^{\"ns\":[0-9]*,\"event\":\"alloc\",\"pid\":$pid,\"comm\":\"holder\",\"file\":[0-9]*,\"offset\":[0-9]*,\"bytes\":[0-9]*,\"node\":null,\"tag\":\"published\"}\$"
check "trace: each buffer is allocated once" [ "$(grep -c '"event":"alloc"' "$OUT")" = 2 ]
check "trace: and freed once" [ "$(grep -c '"event":"free"' "$OUT")" = 2 ]
check "trace: bytes are the holder's" [ "$(grep '"event":"alloc"' "$OUT" | sum bytes)" = "$bytes" ]
check "trace: the file was closed with buffers" has "$OUT" \
	"\"event\":\"reclaim\",.*\"bytes\":[0-9]*,\"file\":[0-9]*,\"buffers\":2}\$"
kill -INT $trace
await $trace
check "trace: SIGINT ends it with 0" status_is 0
check "trace: leaves no instance" no_instances
check_whole "trace"

start_trace --count 1 --timeout 60
start_holder tag
await $trace
check "trace: ends after so many events" eval 'status_is 0 && lines_are "$OUT" 1'
check "trace: a line for an allocation" has "$OUT" \
	"^ *[0-9]*\.[0-9]*  alloc       holder ($pid)  file [0-9]*: [0-9.]* [KM]iB: bell"
check "trace: a wild tag does not reach the terminal" is_harmless "$OUT"
run bitmem trace --count 1000 --timeout 0.3
check "trace: too few events in time" eval 'status_is 1 && has "$ERR" "^bitmem: --timeout: [0-9]* of 1000 events"'
check "trace: leaves no instance then" no_instances
start_trace --timeout 60
kill -KILL $trace
await $trace
check "trace: killed, it leaves one" test -d "$tracing/instances/bitmem-tool-$trace"
run bitmem trace --timeout 0
check "trace: which the next one takes away" eval 'status_is 0 && no_instances'

: >"$ERR"
full bitmem trace --timeout 60 2>"$ERR" </dev/null &
trace=$!
wait_for 30 grep -q '^tracing' "$ERR"
kill -KILL "$pid"
await "$pid"
await $trace
check "trace: stdout full" eval 'status_is 1 && has "$ERR" "stdout: No space left" && no_instances'

if [ -d "$DATA/fonts" ]; then
	start_holder many
	start_trace --timeout 60 --svg "$WORK/trace.svg" --png "$WORK/trace.png"
	first=$pid
	start_holder share-out
	kill -KILL "$pid" "$first"
	await "$pid"
	await "$first"
	sleep 0.5
	kill -TERM $trace
	await $trace
	check "trace: draws into files" status_is 0
	check "trace: says nothing then" lines_are "$OUT" 0
	check "trace: an SVG" eval 'head -n 1 "$WORK/trace.svg" | grep -q "^<?xml" &&
		tail -n 1 "$WORK/trace.svg" | grep -q "^</svg>"'
	check "trace: a PNG" [ "$(od -An -tx1 -N8 "$WORK/trace.png" | tr -d ' ')" = 89504e470d0a1a0a ]
	check "trace: more bars than there were buffers at once" [ "$(grep -c '<path.*fill-rule' "$WORK/trace.svg")" -ge 43 ]
	run bitmem trace --timeout 0 --svg -
	check "trace: onto stdout" eval 'status_is 0 && head -n 1 "$OUT" | grep -q "^<?xml" &&
		tail -n 1 "$OUT" | grep -q "^</svg>"'
	run bitmem trace --timeout 0 --svg /nonexistent/trace.svg
	check "trace: no such directory" eval 'status_is 1 && has "$ERR" "/nonexistent/trace.svg: No such file" && no_instances'
	if unshare -n true 2>/dev/null; then
		run unshare -n bitmem trace --timeout 0 --svg "$WORK/trace.svg"
		check "trace: another network namespace" eval 'status_is 0 && has "$ERR" "^netlink: .*not told"'
	fi
	run bitmem map --svg -
	check "map: onto stdout" eval 'succeeded && head -n 1 "$OUT" | grep -q "^<?xml" &&
		tail -n 1 "$OUT" | grep -q "^</svg>"'
	run full bitmem map --png -
	check "map: stdout full of a picture" failed_with 'stdout: No space left'
else
	tap_skip "trace: pictures" "no font, or no cairo"
fi
run as_nobody bitmem trace --timeout 0
check "trace: not permitted" failed_with 'tracefs: Permission denied (try as root)'
check_whole "at the end of trace"
