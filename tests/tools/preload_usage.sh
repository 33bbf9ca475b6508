# SPDX-License-Identifier: GPL-2.0
# The command line of "bitmem run". Sourced after show_usage.sh.
# shellcheck shell=sh disable=SC2153,SC2154

names 'which program' run
names 'which program' run --
names 'which program' run --require
names 'unrecognized option.*--frobnicate' run --frobnicate true
names '^bitmem: --backend: .*: tape$' run --backend tape true
names '^bitmem: --fork: .*: share$' run --fork share true
names '^bitmem: --tag: .*: $' run --tag '' true
names '^bitmem: --tag: .* 31 bytes' run --tag 12345678901234567890123456789012 true
names '^bitmem: --json: ' run --json true
for value in 0 x -1 '' 18446744073709551616; do
	names "^bitmem: --min-bytes: .*: $value\$" run --min-bytes "$value" true
done
for value in x -1 '' 2147483648; do
	names "^bitmem: --node: .*: $value\$" run --node "$value" true
done
run bitmem help run
check "help run" has "$OUT" "^usage: bitmem run "
cp "$OUT" "$WORK/help"
run bitmem run --help
check "run --help says the same" cmp "$OUT" "$WORK/help"
run bitmem help
check "help lists run" has "$OUT" "^  run  *[a-z]"
run env BITMEM_DEVICE=/nonexistent/bitmem bitmem run --backend device --require echo well
check "run --require: no device" failed_with '/nonexistent/bitmem: .*module loaded'
