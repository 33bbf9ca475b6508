# SPDX-License-Identifier: GPL-2.0
# What changes something, without a device. Sourced after show_usage.sh.
# shellcheck shell=sh disable=SC2153,SC2154

for command in trim compact; do
	names "^bitmem: $command takes no arguments: x" $command x
	names 'unrecognized option.*--frobnicate' $command --frobnicate
	for value in x -1 '' 4294967295; do
		names "^bitmem: --pool: .*: $value\$" $command --pool "$value"
	done
	for value in 0 x -1 1T ''; do
		names "^bitmem: --budget: .*: $value\$" $command --budget "$value"
	done
done
names '^bitmem: --node: say where' migrate 1
names '^bitmem: migrate: give one process or one --name' migrate --node 0
names '^bitmem: migrate: give one process or one --name' migrate --node 0 1 2
names '^bitmem: migrate: give one process or one --name' migrate --node 0 --name x 1
names '^bitmem: --uid: goes with --name' migrate --node 0 --uid 0 1
names '^bitmem: --name: a name has one byte' migrate --node 0 --name ''
long=$(printf %064d 0)
names "^bitmem: --name: longer than 63 bytes: $long\$" migrate --node 0 --name "$long"
for value in x -1 2147483648; do
	names "^bitmem: --node: .*: $value\$" migrate --node "$value" 1
done
for value in x 0 -1 2147483648; do
	names "^bitmem: PID: .*: $value\$" migrate --node 0 -- "$value"
done
for value in x -1 4294967295; do
	names "^bitmem: --uid: .*: $value\$" migrate --node 0 --name x --uid "$value"
done
names '^bitmem: USER: no such user: no-such-user$' quota no-such-user
names '^bitmem: USER: .*: 4294967295$' quota 4294967295
for value in x -1 '' 18446744073709551615 1T; do
	names "^bitmem: LIMIT: .*: $value\$" quota root -- "$value"
done
names '^bitmem: quota takes .*: 3$' quota 1 2 3
names '^bitmem: hold: no file given' hold
names '^bitmem: --node: .*: x$' hold --node x y
for value in x 8 0778 0777 00440 '' -1; do
	names "^bitmem: --mode: .*: $value\$" hold --mode "$value" y
done
long=$(printf %059d 0)
for value in '' a/b "$long"; do
	names "^bitmem: --name: .*: $value\$" hold --name "$value" y
done
names '^bitmem: --name: .*: $' hold /tmp/
run env NOTIFY_SOCKET=notify bitmem hold /dev/null
check "hold: NOTIFY_SOCKET is no address" failed_with 'NOTIFY_SOCKET: .*: notify$'
run env NOTIFY_SOCKET="/$(printf %0110d 0)" bitmem hold /dev/null
check "hold: NOTIFY_SOCKET is too long" failed_with 'NOTIFY_SOCKET: too long: /0'
names '^bitmem: attach: no name given' attach
names '^bitmem: NAME: a name has one byte' attach ''
names '^bitmem: --uid: .*: x$' attach --uid x y
names '^bitmem: --json: does not go with a program: true$' attach --json y -- true

names '^bitmem: leaks: give one process or --all' leaks
names '^bitmem: leaks: give one process or --all' leaks 1 2
names '^bitmem: leaks: give one process or --all' leaks --all 1
for value in x 0 2147483648; do
	names "^bitmem: PID: .*: $value\$" leaks "$value"
done
for value in x -1 nan ''; do
	names "^bitmem: --older: .*: $value\$" leaks --all --older "$value"
done

for command in trim compact migrate quota hold attach leaks; do
	check_help $command
done
for command in trim compact 'migrate --node 0 1' 'hold /dev/null' 'attach x' 'attach x -- true' 'leaks --all'; do
	check_no_device "$command"
done
if unshare -rn true 2>/dev/null; then
	run unshare -rn bitmem quota
	check "quota: no family" failed_with 'no family bitmem here'
	run unshare -rn bitmem quota root 1G
	check "quota: no family to set it" failed_with 'no family bitmem here'
else
	tap_skip "quota: no family" "network namespaces cannot be made here"
fi
