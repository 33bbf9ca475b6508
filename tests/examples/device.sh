# SPDX-License-Identifier: GPL-2.0
# The examples that talk to the kernel themselves. Sourced; wants library.sh.
# shellcheck shell=sh

allocated()
{
	bitmem info --json | grep -o '"allocated":[0-9]*' | cut -d : -f 2 | sort -u
}

raw_right()
{
	status_is 0 && [ ! -s "$ERR" ] && has "$OUT" '^pool 0: node 0, 128 MiB' &&
		has "$OUT" '^allocated: 3145728 bytes, 3145728 of them with memory, 1 mappings$' &&
		has "$OUT" '^the child reads "hello"$' &&
		has "$OUT" '^decommitted: 3145728 bytes, 3141632 of them with memory, 1 mappings$' &&
		has "$OUT" '^the rest still reads "kept"$'
}

publishing()
{
	grep -qx published "$WORK/publish.out"
}

publish()
{
	share publish weights "$MODEL" >"$WORK/publish.out" 2>"$WORK/publish.err" &
	PUBLISHER=$!
	wait_for 60 publishing
}

attached()
{
	status_is 0 && [ ! -s "$ERR" ] && cmp -s "$OUT" "$MODEL"
}

nothing_allocated()
{
	[ "$(allocated)" = 0 ]
}

check "raw, share: wrong arguments" misused_by_all raw share
run raw
check "raw" raw_right
run share attach weights
check "share: nobody has published" one_complaint 'attaching "weights": No such file'
run share publish weights "$WORK"
check "share: a directory is no file" one_complaint 'not a file'
run share attach "$(printf '%64s' x)"
check "share: a name that is too long" [ "$STATUS" -eq 2 ]
check "share publishes a file" publish
run share attach weights
check "share attaches it: the same bytes" attached
run share publish weights "$MODEL"
check "share: the name is taken" one_complaint 'publishing "weights": File exists'
kill -KILL "$PUBLISHER"
await "$PUBLISHER"
run share attach weights
check "share: with the publisher the name goes" one_complaint 'No such file'
check "all that the examples had went back" wait_for 30 nothing_allocated
