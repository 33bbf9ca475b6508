# SPDX-License-Identifier: GPL-2.0
# metrics, doctor, trace and bench without a device. Sourced after show_usage.sh.
# shellcheck shell=sh disable=SC2153

names 'takes no arguments: x' metrics x
names 'unrecognized option.*--frobnicate' metrics --frobnicate
names 'requires an argument' metrics --output
for value in 0 0.01 x '' nan inf 1e9 -1; do
	names "^bitmem: --interval: .*: $value\$" metrics --output x --interval "$value"
done
names '^bitmem: --interval: only with --output FILE$' metrics --interval 1
names '^bitmem: --interval: only with --output FILE$' metrics --interval 1 --output -
names 'takes no arguments: x' doctor x
names 'unrecognized option.*--frobnicate' doctor --frobnicate
names '^bitmem: --png: -: standard output is taken by --svg$' map --svg - --png -
names '^bitmem: --svg: -: standard output is taken by --json$' map --svg - --json
names 'takes no arguments: x' trace x
names 'requires an argument' trace --svg
names '^bitmem: --json: not with --svg or --png$' trace --json --svg x
names '^bitmem: --png: -: standard output is taken by --svg$' trace --svg - --png -
for value in 0 x -1; do
	names "^bitmem: --count: .*: $value\$" trace --count "$value"
done
for value in x '' nan -1 1e9; do
	names "^bitmem: --timeout: .*: $value\$" trace --timeout "$value"
done

names 'takes no arguments: x' bench x
for value in 0 63K x '' 2T; do
	names "^bitmem: --size: .*: $value\$" bench --size "$value"
done
for value in 0 1001 x -1; do
	names "^bitmem: --rounds: .*: $value\$" bench --rounds "$value"
done

for command in metrics doctor trace bench; do
	check_help $command
done

for command in metrics bench "metrics --output $WORK/no.prom" "metrics -o $WORK/no.prom -i 1"; do
	# shellcheck disable=SC2086 # a command and its options
	run env BITMEM_DEVICE=/nonexistent/bitmem bitmem $command
	check "$command: no device" failed_with '/nonexistent/bitmem: .*module loaded'
	# shellcheck disable=SC2086
	run env BITMEM_DEVICE=/dev/null bitmem $command
	check "$command: another device" failed_with '/dev/null: .*not a bitmem device'
	check "$command: writes nothing then" eval '! ls "$WORK" | grep -q "no\.prom"'
done

# --- doctor: says what is wrong, on stdout, and fails ---

# finds STATUS CHECK WHAT: a line of what was printed.
finds()
{
	has "$OUT" "^$1 *$2  *$3"
}

run env BITMEM_DEVICE=/nonexistent/bitmem bitmem doctor
check "doctor: no device is a problem" eval 'status_is 1 && [ ! -s "$ERR" ] && is_harmless "$OUT" &&
	finds problem device "/nonexistent/bitmem: No such file"'
check "doctor: with a remedy" eval 'grep -A 1 "^problem *device" "$OUT" | grep -q "^  *-> .*[a-z]"'
check "doctor: counts" has "$OUT" '^[1-9][0-9]* problems*, [0-9]* warnings*, [0-9]* notes*$'
run env BITMEM_DEVICE=/nonexistent/bitmem bitmem doctor --json
check "doctor: JSON, too" eval 'status_is 1 && [ ! -s "$ERR" ] && lines_are "$OUT" 1 &&
	has "$OUT" "^{\"usable\":false,\"findings\":\[{\"check\":\"module\",.*{\"check\":\"device\",\"status\":\"problem\",\"what\":\"/nonexistent/bitmem: No such file or directory\",\"remedy\":\"[^\"]"'
run env BITMEM_DEVICE=/dev/null bitmem doctor
check "doctor: another device is a problem" eval 'status_is 1 && finds problem device "/dev/null: no device of bitmem.s"'
run env BITMEM_DEVICE="$(printf '/dev/\033[2J\nx')" bitmem doctor
check "doctor: a wild name does not reach the terminal" eval 'status_is 1 && is_harmless "$OUT"'
if [ ! -e /sys/module/bitmem ]; then
	check "doctor: no module is a problem" finds problem module 'not loaded, '
fi
run full bitmem doctor
check "doctor: stdout full" failed_with 'stdout: No space left'
if [ "$(id -u)" -ne 0 ]; then
	sh_limited='ulimit -l 64; exec "$@"'
	run sh -c "$sh_limited" sh bitmem doctor
	check "doctor: locked memory is limited" finds warning memlock '64 KiB '
fi

# --- trace ---

run lives 2000
check "trace: what is made of random ones" succeeded
tracing=/sys/kernel/tracing
if [ "$(id -u)" -ne 0 ] || [ -e $tracing/README ]; then
	if [ ! -e $tracing/events/bitmem ]; then
		run bitmem trace --timeout 0
		check "trace: no module, or not permitted" failed_with 'tracing.*: not there (is the module loaded\|tracefs: .*(try as root'
	fi
fi
