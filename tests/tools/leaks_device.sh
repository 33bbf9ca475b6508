# SPDX-License-Identifier: GPL-2.0
# leaks, on the device, as root. Sourced after hold_device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

# finds FINDING TAG BYTES: a group of what was printed.
finds()
{
	has "$OUT" "{\"finding\":\"$1\",[^{]*\"tag\":\"$2\",\"buffers\":[0-9]*,\"bytes\":$3,\"oldest_ms\":[0-9]*}"
}

run bitmem leaks --all --json
check "leaks: nothing is there" eval 'succeeded && has "$OUT" "\"groups\":\[\],\"suspect_bytes\":0,"'

start_holder map
run bitmem leaks "$pid" --json
check "leaks: mapped memory is in use" finds none mapped "$bytes"
check "leaks: says that it shows what was opened" has "$ERR" "^process $pid maps memory"
run bitmem leaks --all
check "leaks: text" eval 'succeeded && has "$OUT" "^ *[0-9]*  *$pid  *1  *3 MiB .* mapped  *in use$"'
end_holder map

start_holder flight
run bitmem leaks --all --json
check "leaks: a file that nobody has" eval 'succeeded && finds unseen flight "$bytes"'
end_holder flight

start_holder many
run bitmem leaks "$pid" --json
check "leaks: not mapped" eval 'succeeded && finds unmapped odd $((bytes / 2)) && finds unmapped even $((bytes / 2))'
check "leaks: the sum" is suspect_bytes "$bytes"
run bitmem leaks "$pid" --older 1000 --json
check "leaks: only what is older" has "$OUT" '"groups":\[\]'
run full bitmem leaks "$pid"
check "leaks: stdout full" failed_with 'stdout: No space left'
run bitmem leaks $$ --json
check "leaks: a process that has nothing" eval 'succeeded && has "$OUT" "\"groups\":\[\]"'
end_holder many
run bitmem leaks "$pid"
check "leaks: a process that is gone" failed_with "process $pid: No such process"

start_holder orphan
parent=$pid
await "$parent"
pid=$(awk '{ print $3 }' "$WORK/holder")
run bitmem leaks --all --json
check "leaks: who opened it is gone" eval 'succeeded && finds inherited orphan "$bytes" &&
	has "$OUT" "\"processes\":\[$pid\]"'
run bitmem leaks "$pid" --json
check "leaks: and who has it now" finds inherited orphan "$bytes"
kill -KILL "$pid"
check_whole "holder orphan"

start_holder share-out
run bitmem leaks --all --json
check "leaks: exported is in use" finds none exported $((bytes / 2))
check "leaks: published for nobody" finds published published $((bytes / 2))
bitmem attach 'a name' -- sleep 1000 >"$WORK/attached" 2>&1 </dev/null &
other=$!
exported()
{
	bitmem leaks --all --json >"$OUT" 2>"$ERR" && finds none published $((bytes / 2))
}
wait_for 20 exported
kill -KILL "$pid"
await "$pid"
gone()
{
	bitmem leaks --all --json >"$OUT" 2>"$ERR" && finds closed published $((bytes / 2))
}
wait_for 20 gone
check "leaks: kept by others" gone
kill -KILL $other
await $other
check_whole "leaks, kept by others"

start_holder share-out
chmod 666 "$device"
run as_nobody bitmem leaks --all --json
check "leaks: others are told of their own" eval 'succeeded && has "$OUT" "\"groups\":\[\]"'
chmod 600 "$device"
run as_nobody bitmem leaks --all
check "leaks: not permitted to open the device" failed_with "$device: Permission denied"
chmod "$mode" "$device"
end_holder share-out
if unshare -n true 2>/dev/null; then
	run unshare -n bitmem leaks --all
	check "leaks: another network namespace" failed_with 'no family bitmem here'
fi
