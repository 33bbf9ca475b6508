# SPDX-License-Identifier: GPL-2.0
# What changes something, on the device, as root. Sourced after show_device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

# --- trim ---

run bitmem info --wait=60
defaults=$(show_settings)
run bitmem trim --json
check "trim: takes nothing of a reserve" eval 'succeeded && is freed 0'
check "trim: one line of JSON" lines_are "$OUT" 1
run_quietly bitmem pools --pool 0 --reserve 0
run bitmem pools --pool 0 --json
capacity=$(value capacity)
run bitmem trim --pool 0 --budget $((4 * superblock)) --json
check "trim: gives back what the budget says" eval 'succeeded && is freed $((4 * superblock))'
check "trim: of this pool only" test "$(grep -o '"index"' "$OUT" | grep -c .)" = 1
check "trim: the pool is so much smaller" capacity_is $((capacity - 4 * superblock))
run bitmem trim --budget $((superblock - 1)) --json
check "trim: a budget of less than a superblock" eval 'succeeded && is freed 0'
run bitmem trim
check "trim: shows what went back" has "$OUT" '^pool 0: [1-9][0-9]* bytes ([0-9.]* [MG]iB) back to the system$'
check "trim: shows the sum" has "$OUT" '^all: [1-9][0-9]* bytes '
check "trim: all is gone" capacity_is 0
# shellcheck disable=SC2086 # options
run bitmem pools --pool 0 $defaults
run bitmem info --wait=60
check "trim: the pool fills again" succeeded

# --- compact ---

start_holder scattered
run bitmem compact --json
check "compact: succeeds" succeeded
check "compact: one line of JSON" lines_are "$OUT" 1
# The last ones are the sums.
moved=$(sed 's/.*"moved":\([0-9]*\),.*/\1/' "$OUT")
check "compact: moves pages" test "$moved" -gt 0
check "compact: superblocks become free" test "$(sed 's/.*"freed":\([0-9]*\),.*/\1/' "$OUT")" -ge "$superblock"
check "compact: the sum is that of the pools" test "$(sum moved <"$OUT")" = $((2 * moved))
run bitmem compact
check "compact: text" has "$OUT" '^pool 0: [0-9]* bytes moved, [0-9]* skipped, [0-9]* bytes ([^)]*) became whole and free$'
end_holder scattered
start_holder scattered
run bitmem compact --budget 64K --json
check "compact: within its budget" eval 'succeeded && [ "$(sum moved <"$OUT")" -le 131072 ]'
end_holder scattered

for command in trim compact; do
	run bitmem $command --pool 99
	check "$command: no such pool" failed_with '--pool: no such pool: 99 '
	run full bitmem $command
	check "$command: stdout full" failed_with 'stdout: No space left'
done

# --- migrate ---

start_holder share
run bitmem migrate --node 1 "$pid" --json
check "migrate: succeeds" eval 'succeeded && is buffers 1 && is skipped 0'
run bitmem migrate --node 0 "$pid" --json
check "migrate: moves all of it" eval 'succeeded && is moved $bytes && is bytes $bytes'
run bitmem migrate --node 0 "$pid"
check "migrate: what is there stays" has "$OUT" '^1 buffer: 0 bytes (0 B) moved to node 0, 0 bytes (0 B) skipped$'
run bitmem migrate --node 77 "$pid"
check "migrate: no such node" failed_with '--node: there is no pool on node 77$'
chmod 666 "$device"
run as_nobody bitmem migrate --node 1 "$pid"
check "migrate: a process of others" failed_with "process $pid: .*debugger"
run as_nobody bitmem migrate --node 1 --uid 0 --name none
check "migrate: no such name" failed_with '^bitmem: none: nothing is published'
chmod 600 "$device"
run as_nobody bitmem migrate --node 1 "$pid"
check "migrate: not permitted to open the device" failed_with "$device: Permission denied"
chmod "$mode" "$device"
# All that the node's pool has, be that what it was to have or not.
run bitmem info --wait=60
run bitmem pools --pool 1 --json
sparse "$WORK/all.safetensors" $(($(value zeroed) + $(value dirty)))
bitmem load --hold --node 1 "$WORK/all.safetensors" >"$WORK/held" 2>&1 </dev/null &
loader=$!
wait_for 60 grep -q '^holding' "$WORK/held"
run bitmem migrate --node 1 "$pid"
check "migrate: no room there" failed_with 'the node has not enough free memory; 0 bytes were moved'
kill -KILL $loader
await $loader
end_holder share
run bitmem migrate --node 0 "$pid"
check "migrate: a process that is gone" failed_with "process $pid: No such process"
run bitmem migrate --node 0 $$
check "migrate: a process without the device" failed_with "process $$: has no descriptor of"

start_holder fixed
run bitmem migrate --node 1 "$pid" --json
run bitmem migrate --node 0 "$pid" --json
check "migrate: counts what has to stay" eval 'succeeded && is moved 0 && is skipped $bytes'
run full bitmem migrate --node 0 "$pid"
check "migrate: stdout full" failed_with 'stdout: No space left'
end_holder fixed

start_holder share-out
chmod 666 "$device"
run bitmem migrate --node 1 --name 'a name' --json
check "migrate: by name" eval 'succeeded && is buffers 1'
run bitmem migrate --node 0 --name 'a name' --json
check "migrate: by name, all of it" eval 'succeeded && is moved $((bytes / 2))'
run as_nobody "bitmem migrate --node 1 --uid 0 --name 'a name'"
check "migrate: a name that others may not have" failed_with '^bitmem: a name: its publisher does not let'
chmod "$mode" "$device"
end_holder share-out

# --- quota ---

run bitmem quota nobody 4M --json
check "quota: is set" eval 'succeeded && is user nobody && is limit 4194304 && is bytes 0'
run bitmem quota
check "quota: shows it" has "$OUT" '^ *[0-9]*  *0 B  *4 MiB  nobody$'
chmod 666 "$device"
# The file is for all to read; the way there is not.
chmod 711 "$WORK"
run as_nobody bitmem load --backend device "$WORK/slow.safetensors"
check "quota: holds" failed_with 'Disk quota exceeded'
run as_nobody bitmem quota
check "quota: others see themselves alone" eval 'succeeded && lines_are "$OUT" 2 && has "$OUT" " nobody\$"'
run as_nobody bitmem quota nobody 1G
check "quota: needs the capability" failed_with 'quota of nobody: 1G: needs CAP_SYS_ADMIN'
run as_nobody bitmem quota root
check "quota: one who is not shown" failed_with '^bitmem: root: has no quota'
chmod "$mode" "$device"
run bitmem quota nobody none --json
check "quota: none" eval 'succeeded && is limit null'
run bitmem quota 4242
check "quota: a user of whom nothing is kept" failed_with '^bitmem: 4242: has no quota'
run full bitmem quota
check "quota: stdout full" failed_with 'stdout: No space left'
if unshare -n true 2>/dev/null; then
	run unshare -n bitmem quota root 1G
	check "quota: another network namespace" failed_with 'no family bitmem here'
fi
check_whole "at the end of what acts"
