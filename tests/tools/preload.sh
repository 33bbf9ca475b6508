# SPDX-License-Identifier: GPL-2.0
# "bitmem run" with programs that know nothing of it. Sourced after tap.sh; wants $BACKEND and
# $PRELOAD (build/tests/preload). In a guest the shell and its tools are linked statically, and so
# no programs to be run like that.
# shellcheck shell=sh disable=SC2153,SC2154,SC2016

in_pool()
{
	bitmem run --backend "$BACKEND" --require "$@"
}

for program in blocks forks threads; do
	run in_pool "$PRELOAD/$program"
	check "run: $program" status_is 0
	check "run: $program: no test was left out" \
		test "$(sed -n 's/^1\.\.//p' "$OUT")" = "$(grep -c '^ok ' "$OUT")"
done
run in_pool --fork drop "$PRELOAD/forks" drop
check "run --fork drop: the child has nothing, and harms nobody" status_is 0
run bitmem run --backend "$BACKEND" "$PRELOAD/refused" fall
check "run: what the pool refuses is malloc()'s" status_is 0
run in_pool "$PRELOAD/refused" fail
check "run --require: what the pool refuses is refused" status_is 0
run in_pool --min-bytes 1 "$PRELOAD/taker" 0
check "run --min-bytes 1: all that a program allocates" status_is 0
run in_pool --min-bytes 1 sh -c 'x=$(echo 1 | sed s/1/2/); exit $x$x'
check "run --min-bytes 1: a shell and its children" status_is 22
run in_pool "$PRELOAD/nonexistent"
check "run: no such program" failed_with 'nonexistent: No such file'
run in_pool /
check "run: no program" failed_with '/: Permission denied'
run in_pool -- sh -c 'kill -9 $$'
check "run: a signal is the program's" status_is 137
run in_pool --stats "$PRELOAD/taker" 3
check "run --stats: a line of it" \
	has "$ERR" "^bitmem: taker\\[[0-9]*\\]: backend $BACKEND, [1-9][0-9]* allocations, 31[0-9]* bytes at most"
run in_pool --stats --json "$PRELOAD/taker" 3
check "run --stats --json: an object" \
	has "$ERR" "^{\"program\":\"taker\",\"pid\":[0-9]*,\"backend\":\"$BACKEND\",\"allocations\":[1-9]"
run in_pool --min-bytes 4M --stats "$PRELOAD/taker" 3
check "run --min-bytes: what is smaller is not the pool's" eval '! has "$ERR" bitmem'
run in_pool --tag 'some program' sh -c 'cat /proc/$$/environ; exec bitmem run --backend memfd env'
check "run: an inner one's options replace an outer one's" eval \
	'grep -qa "BITMEM_PRELOAD_TAG=some program" "$OUT" &&
	[ "$(tail -n +2 "$OUT" | grep -ac ^BITMEM_PRELOAD_TAG)" = 0 ]'
check "run: it is preloaded once" \
	test "$(tail -n 40 "$OUT" | sed -n 's/^LD_PRELOAD=//p' | grep -o preload.so | grep -c .)" = 1
run env LD_PRELOAD=libc.so.6 bitmem run --backend "$BACKEND" env
check "run: what was preloaded before stays" has "$OUT" '^LD_PRELOAD=/.*/preload.so:libc.so.6$'
# What is wrong in the environment is told, and does no harm.
for variable in MIN_BYTES=0 MIN_BYTES=1x NODE=-1 BACKEND=tape TAG= STATS=some REQUIRE=yes FORK=x; do
	run env "LD_PRELOAD=${PRELOAD%/tests/preload}/lib/bitmem/preload.so" \
		"BITMEM_PRELOAD_$variable" "$PRELOAD/taker" 1
	check "run: BITMEM_PRELOAD_$variable" eval \
		'status_is 0 && has "$OUT" "^well$" && has "$ERR" "^bitmem: BITMEM_PRELOAD_${variable%%=*}: "'
done
