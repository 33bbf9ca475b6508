# SPDX-License-Identifier: GPL-2.0
# pools, map, top and monitor without a device. Sourced after usage.sh.
# shellcheck shell=sh disable=SC2153

# names WHAT ARGUMENT...: wrong usage of which the first line says WHAT.
names()
{
	names_what=$1
	shift
	run bitmem "$@"
	check "usage: $* is refused by name" eval 'misused && head -n 1 "$ERR" | grep -q -e "$names_what"'
}

names 'takes no arguments: x' pools x
names 'unrecognized option.*--frobnicate' pools --frobnicate
for value in x -1 1x '' 4294967296; do
	names "^bitmem: --pool: .*: $value\$" pools --pool "$value"
done
for option in target max reserve low high emergency; do
	for value in x -1 1T '' 18446744073709551615 18446744073709551615K; do
		names "^bitmem: --$option: .*: $value\$" pools --pool 0 "--$option" "$value"
	done
	names "^bitmem: --pool: " pools "--$option" 1G
done
names 'takes no arguments: x' map x
names '^bitmem: --color: .*: blue$' map --color blue
for value in 19 1001 x ''; do
	names "^bitmem: --width: .*: $value\$" map --width "$value"
done
names 'requires an argument' map --svg
names 'requires an argument' map --png
names 'takes no arguments: x' top x
names '^bitmem: --sort: .*: colour$' top --sort colour
for value in 0 0.01 x '' nan inf 1e9 -1; do
	names "^bitmem: --delay: .*: $value\$" top --delay "$value"
done
for value in 0 x -1; do
	names "^bitmem: --count: .*: $value\$" top --batch --count "$value"
	names "^bitmem: --count: .*: $value\$" monitor --count "$value"
done
names 'takes no arguments: x' monitor x
for value in x '' nan -1 1e9; do
	names "^bitmem: --timeout: .*: $value\$" monitor --timeout "$value"
done

check_help()
{
	run bitmem help "$1"
	check "help $1" has "$OUT" "^usage: bitmem $1 "
	cp "$OUT" "$WORK/help"
	run bitmem "$1" --help
	check "$1 --help says the same" cmp "$OUT" "$WORK/help"
	# Prometheus has a format of its own.
	[ "$1" = metrics ] || check "$1: --json is told of" has "$OUT" '^  --json '
	run bitmem help
	check "help lists $1" has "$OUT" "^  $1  *[a-z]"
}

# check_no_device COMMAND: a command and its arguments.
check_no_device()
{
	# shellcheck disable=SC2086 # words
	run env BITMEM_DEVICE=/nonexistent/bitmem bitmem $1
	check "$1: no device" failed_with '/nonexistent/bitmem: .*module loaded'
	# shellcheck disable=SC2086
	run env BITMEM_DEVICE=/dev/null bitmem $1
	check "$1: another device" failed_with '/dev/null: .*not a bitmem device'
}

for command in pools map top monitor; do
	check_help $command
done

for command in pools map 'top --batch' top 'pools --pool 0 --target 1G'; do
	check_no_device "$command"
done

# A network namespace of its own has no family, whether or not there is a module.
if unshare -rn true 2>/dev/null; then
	run unshare -rn bitmem monitor
	check "monitor: no family" failed_with 'no family bitmem here'
else
	tap_skip "monitor: no family" "network namespaces cannot be made here"
fi

run cells 20000
check "map: cells are shared out right" succeeded
