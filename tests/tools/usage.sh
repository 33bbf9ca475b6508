# SPDX-License-Identifier: GPL-2.0
# The command line, and failures that need no model and no device. Sourced after tap.sh.
# shellcheck shell=sh disable=SC2153

wrong_usage()
{
	run bitmem "$@"
	check "usage: $* is refused" misused
}

wrong_usage
wrong_usage frobnicate
wrong_usage --frobnicate
wrong_usage help frobnicate
wrong_usage help load info
wrong_usage load
wrong_usage load --frobnicate x
wrong_usage load --backend
wrong_usage load --backend tape x
wrong_usage load --dialect cobol x
for value in x -1 1x '' 99999999999999999999 2147483648; do
	wrong_usage load --node "$value" x
done
for value in 0 1025 -1 1K1; do
	wrong_usage load --queue-depth "$value" x
done
for value in 0 65M 1T 18446744073709551615K; do
	wrong_usage load --window "$value" x
done
wrong_usage info x
wrong_usage info --wait=x
wrong_usage info --wait=-1
wrong_usage info --wait=nan
wrong_usage ps x
wrong_usage ps --frobnicate

for command in load info ps; do
	run bitmem help $command
	check "help $command" has "$OUT" "^usage: bitmem $command "
	cp "$OUT" "$WORK/help"
	run bitmem $command --help
	check "$command --help says the same" cmp "$OUT" "$WORK/help"
	run bitmem help
	check "help lists $command" has "$OUT" "^  $command  *[a-z]"
done
run bitmem --version
check "--version" has "$OUT" '^bitmem [0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*$'

run env BITMEM_DEVICE=/nonexistent/bitmem bitmem info
check "info: no device" failed_with '/nonexistent/bitmem: .*module loaded'
run env BITMEM_DEVICE=/nonexistent/bitmem bitmem ps
check "ps: no device" failed_with '/nonexistent/bitmem: .*module loaded'
run env BITMEM_DEVICE=/nonexistent/bitmem bitmem load --backend device /dev/null
check "load: no device" failed_with '/nonexistent/bitmem: .*module loaded'
run env BITMEM_DEVICE=/dev/null bitmem info
check "info: another device" failed_with '/dev/null: .*not a bitmem device'

run bitmem load --backend memfd /nonexistent/model
check "load: no such file" failed_with '/nonexistent/model: .*No such file'
run bitmem load --backend memfd /tmp
check "load: a directory" failed_with '/tmp: '
run bitmem load --backend memfd ''
check "load: an empty name" failed_with ': '
run env BITMEM_BACKEND=tape bitmem load /dev/null
check "load: BITMEM_BACKEND is wrong" failed_with 'BITMEM_BACKEND'

run full bitmem --version
check "--version: stdout full" failed_with 'stdout: No space left'
run full bitmem help load
check "help: stdout full" failed_with 'stdout: No space left'
run closed bitmem --version
check "--version: stdout closed" failed_with 'stdout: Bad file descriptor'
