# SPDX-License-Identifier: GPL-2.0
# metrics and doctor on the device, as root. Wants $DATA as device.sh does; $DATA/promtool. Sourced after
# show_device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

# --- metrics ---

# sample PATTERN: the value of the only sample of which the name and labels match, in what was
# printed.
sample()
{
	sed -n "s/^$1 \([0-9][0-9]*\)\$/\1/p" "$OUT"
}

is_accepted()
{
	"$DATA/promtool" check metrics <"$OUT" >"$WORK/promtool" 2>&1
	accepted=$?
	cat "$WORK/promtool"
	[ $accepted -eq 0 ] && [ ! -s "$WORK/promtool" ]
}

start_holder share-out
run bitmem pools --json
for counter in capacity allocated zeroed target max reserve low failures allocs; do
	eval "expected_$counter=$(value $counter)"
done
run bitmem metrics
check "metrics: succeeds" succeeded
check "metrics: promtool finds nothing" is_accepted
pool0='{pool="0",node="0",width="64"'
check "metrics: the pool's size" [ "$(sample "bitmem_pool_capacity_bytes$pool0}")" = "$expected_capacity" ]
check "metrics: limits" eval '[ "$(sample "bitmem_pool_target_bytes$pool0}")" = "$expected_target" ] &&
	[ "$(sample "bitmem_pool_max_bytes$pool0}")" = "$expected_max" ] &&
	[ "$(sample "bitmem_pool_reserve_bytes$pool0}")" = "$expected_reserve" ]'
check "metrics: by state" eval '
	[ "$(sample "bitmem_pool_bytes$pool0,state=\"allocated\"}")" = "$expected_allocated" ] &&
	[ "$(sample "bitmem_pool_bytes$pool0,state=\"zeroed\"}")" = "$expected_zeroed" ]'
check "metrics: the states add up" [ "$(sed -n "s/^bitmem_pool_bytes$pool0,state=.* //p" "$OUT" |
	awk '{ n += $1 } END { printf "%.0f", n }')" = "$expected_capacity" ]
check "metrics: watermarks" [ "$(sample "bitmem_pool_watermark_bytes$pool0,watermark=\"low\"}")" = "$expected_low" ]
check "metrics: what only grows" eval '
	[ "$(sample "bitmem_pool_allocations_total$pool0}")" = "$expected_allocs" ] &&
	[ "$(sample "bitmem_pool_failures_total$pool0}")" = "$expected_failures" ]'
check "metrics: a user's bytes" [ "$(sample 'bitmem_user_bytes{uid="0"}')" = "$bytes" ]
check "metrics: a user's buffers" eval '
	[ "$(sample "bitmem_user_exported_buffers{uid=\"0\"}")" = 1 ] &&
	[ "$(sample "bitmem_user_published_buffers{uid=\"0\"}")" = 1 ] &&
	[ "$(sample "bitmem_user_files{uid=\"0\"}")" = 1 ]'
check "metrics: users are told" [ "$(sample bitmem_users_told)" = 1 ]
# What is accepted because nothing is looked at would be accepted like this, too.
echo 'bitmem_pool_bytes{state="zeroed" 1' >>"$OUT"
check "metrics: promtool would find something" eval '! is_accepted'
run full bitmem metrics
check "metrics: stdout full" failed_with 'stdout: No space left'

prom=$WORK/bitmem.prom
run sh -c "umask 077; exec bitmem metrics --output '$prom'"
check "metrics: into a file" succeeded
check "metrics: says nothing then" lines_are "$OUT" 0
check "metrics: a file that others read" [ "$(stat -c %a "$prom")" = 644 ]
cp "$prom" "$OUT"
check "metrics: promtool finds nothing in the file" is_accepted
cp "$prom" "$WORK/before.prom"
run sh -c "ulimit -f 1; trap '' XFSZ; exec bitmem metrics -o '$prom'"
check "metrics: no room for a file" failed_with 'bitmem.prom: File too large'
check "metrics: leaves the one before as it was" cmp -s "$prom" "$WORK/before.prom"
check "metrics: and nothing else" eval '! ls "$WORK" | grep -q "bitmem.prom\."'
run bitmem metrics -o /nonexistent/bitmem.prom
check "metrics: no such directory" failed_with '/nonexistent/bitmem.prom: No such file'
run bitmem metrics -o /dev/full
check "metrics: a full disk" failed_with '/dev/full: No space left'

# Whoever reads sees all of a file, whenever that is.
bitmem metrics --output "$prom" --interval 0.1 >"$WORK/out" 2>"$ERR" </dev/null &
metrics=$!
first=$(stat -c %i "$prom")
halves=0
is_newer()
{
	tail -n 1 "$prom" | grep -q '^bitmem_user_fixed_buffers{' || halves=$((halves + 1))
	[ "$(stat -c %i "$prom")" != "$first" ]
}
for round in 1 2 3 4; do
	wait_for 60 is_newer || halves=never
	first=$(stat -c %i "$prom")
done
check "metrics: replaces the file again and again ($round times)" [ "$halves" = 0 ]
kill -TERM $metrics
await $metrics
check "metrics: SIGTERM ends it with 0" eval 'succeeded && [ ! -s "$WORK/out" ]'
check "metrics: no part of a file is left" eval '! ls "$WORK" | grep -q "bitmem.prom\."'
if unshare -n true 2>/dev/null; then
	run unshare -n bitmem metrics
	check "metrics: another network namespace" eval 'succeeded && is_accepted &&
		[ "$(sample bitmem_users_told)" = 0 ] && ! has "$OUT" "^bitmem_user_"'
fi

# --- doctor ---

# finds STATUS CHECK WHAT: a line of what was printed.
finds()
{
	has "$OUT" "^$1 *$2  *$3"
}

run bitmem doctor
check "doctor: succeeds" succeeded
check "doctor: finds no problem" has "$OUT" '^0 problems, '
check "doctor: versions match" finds ok module 'loaded; module, library and this program are [0-9]'
check "doctor: the device" finds ok device "$device: can be opened; for group .*, mode 0660, abi 1"
check "doctor: pools" finds ok pool 'pool 0, node 0: [0-9.]* [MG]iB, [0-9.]* [MG]iB of it free$'
check "doctor: nodes" finds ok numa '[0-9]* nodes* with memory'
check "doctor: a page can be had" finds ok memory 'a page was allocated'
check "doctor: netlink" finds ok netlink 'tells of '
check "doctor: root may lock" finds ok memlock 'locked memory is not limited'
case $(uname -r) in
6.1.*) check "doctor: 6.1 takes no fixed buffers" finds note io_uring 'this kernel takes no device memory' ;;
*) check "doctor: fixed buffers" finds ok io_uring 'takes device memory' ;;
esac
run bitmem doctor --json
check "doctor: JSON succeeds" succeeded
check "doctor: one line of JSON" lines_are "$OUT" 1
check "doctor: JSON says that all is well" has "$OUT" '^{"usable":true,"findings":\[{"check":"module","status":"ok","what":"loaded; [^}]*","remedy":null},'
check "doctor: has freed what it tried" allocated_is $((before + bytes))
run full bitmem doctor --json
check "doctor: stdout full, JSON" failed_with 'stdout: No space left'

run_quietly bitmem pools --pool 0 --high "$expected_max" --low "$expected_max"
bitmem load --hold --node 0 "$DATA/models/plain.gguf" >"$WORK/held" 2>&1 </dev/null &
loader=$!
wait_for 60 grep -q '^holding' "$WORK/held"
run bitmem doctor
check "doctor: pressure is a warning" eval 'succeeded && finds warning pressure "pool 0, node 0: level low, .* free, low is "'
kill -KILL $loader
await $loader
# shellcheck disable=SC2086 # options
run_quietly bitmem pools --pool 0 $defaults
thp=/sys/kernel/mm/transparent_hugepage/shmem_enabled
if [ -w $thp ]; then
	was=$(sed 's/.*\[\(.*\)\].*/\1/' $thp)
	echo never >$thp
	run bitmem doctor
	check "doctor: small pages where there is no device" finds note thp 'shmem_enabled is never: '
	echo advise >$thp
	run bitmem doctor
	check "doctor: and large ones" finds ok thp 'huge pages may be used'
	echo "$was" >$thp
fi
disabled=/proc/sys/kernel/io_uring_disabled
if [ -w $disabled ]; then
	was=$(cat $disabled)
	echo 2 >$disabled
	run bitmem doctor
	check "doctor: no io_uring is a warning" eval 'succeeded && finds warning io_uring "not to be had" && has "$OUT" "-> sysctl kernel.io_uring_disabled=0"'
	echo "$was" >$disabled
fi
if unshare -n true 2>/dev/null; then
	run unshare -n bitmem doctor
	check "doctor: another network namespace" eval 'succeeded && finds note netlink "does not tell .*: no family bitmem"'
fi

# --- bench ---

hugepages=/proc/sys/vm/nr_hugepages
run bitmem bench --size 3M --rounds 3 --dir "$WORK" --json
check "bench: succeeds" succeeded
check "bench: one line of JSON, of whole superblocks" eval 'lines_are "$OUT" 1 && is bytes 4194304 && is rounds 3'
for memory in device malloc mlock; do
	check "bench: $memory" has "$OUT" \
		"\"$memory\":{\"alloc\":[0-9.e-]*,\"touch\":[0-9.e-]*,\"zero\":[0-9.e-]*,\"load\":[0-9.e-]*,\"free\":[0-9.e-]*}"
done
check "bench: has given it all back" allocated_is $((before + bytes))
was=$(cat $hugepages)
echo 0 >$hugepages
run bitmem bench --size 2M --rounds 1 --dir "$WORK"
check "bench: says what is not to be had" eval 'succeeded && has "$OUT" "^hugetlb: not to be had: Cannot allocate memory"'
check "bench: a row a measure" eval 'has "$OUT" "^allocate  *[0-9.]* [mu]s  *[0-9.]* [mu]s  *[0-9.]*  *[0-9.]* [mu]s  *[0-9.]*  *-  *-\$" &&
	has "$OUT" "^load  *[0-9.]* [KMG]iB/s "'
echo "$((was + 4))" >$hugepages
if [ "$(cat $hugepages)" -ge 2 ]; then
	run bitmem bench --size 2M --rounds 2 --dir "$WORK" --json
	check "bench: hugetlb, where it is" eval 'succeeded && has "$OUT" "\"hugetlb\":{\"alloc\""'
fi
echo "$was" >$hugepages
check "bench: leaves no file" eval '! ls "$WORK" | grep -q "^#"'
run bitmem bench --dir /nonexistent
check "bench: no such directory" failed_with '/nonexistent: '
run full bitmem bench --size 2M --rounds 1 --dir "$WORK" --json
check "bench: stdout full" failed_with 'stdout: No space left'
bitmem bench --size 2M --rounds 1000 --dir "$WORK" >"$OUT" 2>"$ERR" </dev/null &
bench=$!
wait_for 30 eval '! allocated_is $((before + bytes))'
kill -INT $bench
await $bench
check "bench: SIGINT ends it with 130" eval 'status_is 130 && has "$ERR" "^bitmem: bench: interrupted"'

# --- as somebody else ---

mode=$(stat -c %a "$device")
chmod 600 "$device"
for command in metrics bench "metrics --output $WORK/no.prom"; do
	run as_nobody "bitmem $command"
	check "$command: not permitted to open the device" failed_with "$device: Permission denied (try as root"
done
run as_nobody bitmem doctor
check "doctor: not permitted to open the device" eval 'status_is 1 && [ ! -s "$ERR" ] &&
	finds problem device "$device: not permitted to nobody; it is for group .*, mode 0600" &&
	has "$OUT" "-> .* nobody"'
chmod 666 "$device"
run as_nobody 'ulimit -l 64; bitmem doctor'
check "doctor: others are limited" eval 'succeeded && finds warning memlock "64 KiB of memory may be locked"'
check "doctor: that everybody may is a warning" finds warning device "$device: everybody may take memory of it, mode 0666"
run as_nobody bitmem metrics
check "metrics: others are told of pools" eval 'succeeded && is_accepted &&
	[ "$(sample "bitmem_pool_capacity_bytes$pool0}")" = "$expected_capacity" ]'
check "metrics: and of no other user" eval '! has "$OUT" "^bitmem_user_.*uid=\"0\""'
chmod "$mode" "$device"
end_holder share-out
check_whole "at the end of what explains"
