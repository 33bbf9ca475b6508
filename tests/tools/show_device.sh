# SPDX-License-Identifier: GPL-2.0
# pools, map, top, monitor and what info and ps show since, on the device, as root. Wants $DATA
# as device.sh does; the directory $DATA/fonts with a font, if pictures are to be drawn. Sourced
# after device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

# value KEY: of the first member KEY in the JSON that was printed.
value()
{
	grep -oE "\"$1\":(\"[^\"]*\"|[0-9.]+|null|true|false)" "$OUT" | head -n 1 |
		sed 's/^[^:]*://; s/"//g'
}

is()
{
	[ "$(value "$1")" = "$2" ]
}

is_less()
{
	[ "$(value "$1")" -lt "$2" ]
}

# cells_are SET N: N signs that match, in the rows of the picture.
cells_are()
{
	[ "$(grep '^  [^ ]*$' "$OUT" | tr -cd "$1" | wc -c)" -eq "$2" ]
}

run bitmem info --wait=60 --json
check "info: level by name" has "$OUT" '"level":"[a-z]*","nodes"'
check "info: features by name" has "$OUT" '"feature_names":\["dmabuf","uring"\]'
superblock=$(value superblock_size)

# --- pools ---

settings='target max reserve low high emergency'

# show_settings: those of pool 0, as options.
show_settings()
{
	run bitmem pools --pool 0 --json
	for setting in $settings; do
		echo "--$setting $(value "$setting")"
	done
}

settings_are()
{
	[ "$(show_settings)" = "$1" ]
}

run bitmem pools --json
check "pools: succeeds" succeeded
check "pools: counters add up" adds_up
check "pools: one line of JSON" lines_are "$OUT" 1
for counter in $settings level gathered reclaimable returned moved failures; do
	check "pools: JSON has $counter" has "$OUT" "\"$counter\":"
done
run bitmem pools
check "pools: text succeeds" succeeded
check "pools: shows watermarks" has "$OUT" '^emergency  *[0-9.]* [KMG]iB'
run bitmem pools --pool 99
check "pools: no such pool" failed_with '--pool: no such pool: 99 '
run bitmem pools --pool 99 --low 1M
check "pools: no such pool to set" failed_with '--pool: no such pool: 99 '
run full bitmem pools
check "pools: stdout full" failed_with 'stdout: No space left'
run full bitmem pools --json
check "pools: stdout full, JSON" failed_with 'stdout: No space left'

defaults=$(show_settings)
run bitmem pools --pool 0 --low 8M --high 16M --emergency 4096K --json
check "pools: sets watermarks" succeeded
check "pools: shows the new ones" eval 'is low 8388608 && is high 16777216 && is emergency 4194304'
check "pools: has changed nothing else" settings_are "$(echo "$defaults" |
	sed 's/^--low .*/--low 8388608/; s/^--high .*/--high 16777216/; s/^--emergency .*/--emergency 4194304/')"
smaller=$(($(value capacity) / 2 / superblock * superblock))

# refused WHAT OPTION...: in words, and nothing is changed.
refused()
{
	refused_what=$1
	shift
	refused_before=$(show_settings)
	run bitmem pools --pool 0 "$@"
	check "pools: $* is refused in words" failed_with "^bitmem: pool 0: $*: $refused_what"
	check "pools: $* changes nothing" settings_are "$refused_before"
}

refused 'reserve is above target' --reserve 1000G
refused 'target is above max' --target 1000G
refused 'low is above high' --low 17M
refused 'emergency is above low' --emergency 9M
refused 'high is above max' --high 1000G
refused 'max-bytes is more than the node can spare' --max 1000G
refused 'emergency is above low' --low 1M --high 2M

run bitmem pools --pool 0 --reserve 0 --target $smaller --json
check "pools: a smaller target" eval 'succeeded && is target $smaller && is reserve 0'
capacity_is()
{
	run bitmem pools --pool 0 --json
	is capacity "$1"
}
wait_for 30 capacity_is $smaller
check "pools: gives back what is above it" capacity_is $smaller
# shellcheck disable=SC2086 # options
run bitmem pools --pool 0 $defaults
check "pools: as they were" settings_are "$defaults"
run bitmem info --wait=60
check "pools: filled again" succeeded
before=$(pool allocated)

# --- ps ---

start_holder share-out
run bitmem ps
check "ps: counts what is exported and published" has "$OUT" " $pid  *holder .*  1  *1  exported, published$"
run bitmem ps --json
check "ps: JSON has the counts" has "$OUT" '"exported":1,"published":1,'
check "ps: JSON has the name" has "$OUT" '"tag":"published","exports":0,"name":"a name"}'
check "ps: JSON has the exports" has "$OUT" '"tag":"exported","exports":1,"name":null}'

end_holder share-out
start_holder lent
run bitmem ps --json
check "ps: nothing is made up of buffers that are not told of" has "$OUT" \
	'"tag":"own","exports":0,"name":null},{[^}]*"tag":"lent","exports":null,"name":null}'
check "ps: the lender's is told of" has "$OUT" '"buffer_list":\[{[^}]*"tag":"lent","exports":1,"name":null}\]'
end_holder lent
if unshare -n true 2>/dev/null; then
	run unshare -n bitmem ps
	check "ps: another network namespace" eval 'succeeded && has "$OUT" "allocated.*netlink does not reach here\$"'
	run unshare -n bitmem ps --json
	check "ps: JSON says why nobody is told of" has "$OUT" '"owners_error":"netlink does not reach here",'
	run unshare -n bitmem top --batch --count 1
	check "top: another network namespace" eval 'succeeded && has "$OUT" "(netlink does not reach here)\$"'
fi
start_holder share-out

# --- map ---

run bitmem map --width 82
check "map: succeeds" succeeded
check "map: tells whose" has "$OUT" "^  A holder, pid $pid, file [0-9]*: published  *6 MiB\$"
check "map: no colours in a file" is_harmless "$OUT"
if [ "$superblock" = 2097152 ]; then
	# Each of its two buffers is a superblock and a half.
	check "map: the holder's whole superblocks" cells_are A 2
	check "map: a cell a superblock" has "$OUT" '^A cell is 2 MiB, a superblock; small letters'
fi
check "map: the holder's single pages" has "$OUT" '^  [^ ]*a[^ ]*$'
run bitmem map --json
check "map: JSON succeeds" succeeded
check "map: one line of JSON" lines_are "$OUT" 1
check "map: bytes of the holder" has "$OUT" \
	"{\"kind\":\"file\",\"what\":\"holder, pid $pid, [^}]*\",\"bytes\":$bytes}"
check "map: the shares are the capacity" [ "$(sum bytes <"$OUT")" = "$(sum capacity <"$OUT")" ]
check "map: the first superblock" has "$OUT" '"superblocks":\[{"pool":0,"index":[0-9]*,"count":[0-9]*,"kind":'
check "map: the holder's superblock" has "$OUT" "\"kind\":\"file\",\"split\":false,\"gathered\":false,\"zeroed\":0,\"dirty\":0,\"allocated\":$superblock,\"quarantined\":0,\"retired\":0,\"busy\":0,\"owner\":{\"file\":[0-9]*,\"pid\":$pid,\"comm\":\"holder\",\"uid\":0,\"closed\":false,\"offset\":[0-9]*,\"tag\":\"exported\"}"
run env LC_ALL=C.UTF-8 bitmem map --color always
check "map: blocks in colours" has "$OUT" "$(printf '\033\\[38;5;33m\342\226\240')"
check "map: low ones of what is split" has "$OUT" "$(printf '\342\226\204')"
run bitmem map --color always
check "map: letters in colours where there is no UTF-8" has "$OUT" "$(printf '\033\\[38;5;33mA')"
run full bitmem map
check "map: stdout full" failed_with 'stdout: No space left'

on_terminal()
{
	run onpty "$@"
}

TERM=xterm-256color
export TERM
on_terminal 80x24 -- env LC_ALL=C.UTF-8 bitmem map
check "map: colours on a terminal" has "$OUT" '\\x1b\[38;5;33m\\xe2\\x96\\xa0'
on_terminal 80x24 -- env NO_COLOR=1 LC_ALL=C.UTF-8 bitmem map
check "map: NO_COLOR" eval 'has "$OUT" "^status 0" && has "$OUT" "A holder" && ! has "$OUT" x1b'
on_terminal 80x24 -- env TERM=dumb bitmem map
check "map: a dumb terminal" eval 'has "$OUT" "^status 0" && has "$OUT" "A holder" && ! has "$OUT" x1b'
on_terminal 42x24 -- env NO_COLOR=1 bitmem map
check "map: as wide as the terminal" has "$OUT" '\\x0a  [^ ]\{40\}\\x0d'

if [ -d "$DATA/fonts" ]; then
	cat >"$WORK/fonts.conf" <<-END
		<fontconfig><dir>$DATA/fonts</dir><cachedir>$WORK</cachedir></fontconfig>
	END
	export FONTCONFIG_FILE="$WORK/fonts.conf"
	run bitmem map --svg "$WORK/map.svg" --png "$WORK/map.png"
	check "map: draws into files" succeeded
	check "map: says nothing then" lines_are "$OUT" 0
	check "map: an SVG" eval 'head -n 1 "$WORK/map.svg" | grep -q "^<?xml" &&
		tail -n 1 "$WORK/map.svg" | grep -q "^</svg>"'
	check "map: a PNG" [ "$(od -An -tx1 -N8 "$WORK/map.png" | tr -d ' ')" = 89504e470d0a1a0a ]
	check "map: all of it" [ "$(tail -c 8 "$WORK/map.png" | head -c 4)" = IEND ]
	cp "$WORK/map.svg" "$WORK/before.svg"
	run sh -c "ulimit -f 1; trap '' XFSZ; exec bitmem map --svg '$WORK/map.svg'"
	check "map: no room for a file" failed_with 'map.svg: File too large'
	check "map: leaves the one before as it was" cmp -s "$WORK/map.svg" "$WORK/before.svg"
	check "map: and nothing else" eval '! ls "$WORK" | grep -q "map.svg\."'
	run bitmem map --svg /nonexistent/map.svg
	check "map: no such directory" failed_with '/nonexistent/map.svg: No such file'
	run bitmem map --png /dev/full
	check "map: a full disk" failed_with '/dev/full: No space left'
else
	tap_skip "map: pictures" "no font, or no cairo"
fi

# --- top ---

start_first()
{
	first=$pid
	start_holder map
}

start_first
run bitmem top --batch --count 1
check "top: succeeds" succeeded
check "top: shows pools" has "$OUT" '^ *0  *0  none  *[0-9.]* [MG]iB'
check "top: shows holders" has "$OUT" " $first  holder  *2  *6 MiB  *-  .*  1  *1  published\$"
check "top: most bytes first" [ "$(grep -c . "$OUT")" -ge 6 -a "$(sed -n 's/^ *[0-9]*  *\([0-9]*\)  holder .*/\1/p' "$OUT" | head -n 1)" = "$first" ]
run bitmem top --batch --count 1 --reverse
check "top: in reverse" [ "$(sed -n 's/^ *[0-9]*  *\([0-9]*\)  holder .*/\1/p' "$OUT" | head -n 1)" = "$pid" ]
for key in change buffers age pid; do
	run bitmem top -b -n 1 --sort $key
	check "top: sorts by $key" succeeded
done
run bitmem top --json --count 2 --delay 0.2
check "top: JSON succeeds" succeeded
check "top: an object a look" lines_are "$OUT" 2
check "top: no rates at first" eval 'head -n 1 "$OUT" | grep -q "\"seconds\":null.*\"allocs_per_second\":null"'
check "top: rates then" eval 'tail -n 1 "$OUT" | grep -q "\"seconds\":0\.[2-9].*\"allocs_per_second\":[0-9]"'
run full bitmem top -b -n 1
check "top: stdout full" failed_with 'stdout: No space left'
run bitmem top
check "top: not on a terminal" failed_with 'must be a terminal'
bitmem top --batch --delay 1000 >"$OUT" 2>"$ERR" </dev/null &
top=$!
wait_for 20 grep -q holder "$OUT"
kill -TERM $top
await $top
check "top: SIGTERM ends it with 0" succeeded

# gave_back STATUS: the terminal is as before.
gave_back()
{
	has "$OUT" "^$1\$" && has "$OUT" '^terminal restored' && has "$OUT" '^screen left' &&
		has "$OUT" '^cursor shown'
}

on_terminal 120x30 see:holder type:h see:Keys type:hrc see:change type:q -- bitmem top
check "top: on a terminal, until q" gave_back 'status 0'
on_terminal 100x30 see:holder size:60x12 see:holder size:9x3 size:200x60 see:holder type:q -- bitmem top
check "top: follows the terminal's size" gave_back 'status 0'
on_terminal 100x30 see:holder type:+ type:h see:Keys type:q -- bitmem top --delay 100
check "top: + does not make a long delay shorter" eval 'gave_back "status 0" && ! has "$OUT" "60 s "'
cp "$(command -v holder)" "$WORK/größe"
"$WORK/größe" map >"$WORK/holder" 2>&1 </dev/null &
other=$!
wait_for 20 grep -q '^ready' "$WORK/holder"
on_terminal 100x30 see:holder type:q -- env LC_ALL=C.UTF-8 bitmem top
check "top: a name of UTF-8 takes its columns" has "$OUT" 'gr\\xc3\\xb6\\xc3\\x9fe\\x1b\[[0-9]*;37H1'
kill -KILL $other
await $other
on_terminal 80x24 see:holder -- bitmem top --count 2 --delay 0.1
check "top: --count on a terminal" gave_back 'status 0'
for signal in 2 15; do
	on_terminal 80x24 see:holder kill:$signal -- bitmem top
	check "top: signal $signal ends it with 0" gave_back 'status 0'
done
for signal in 1 3 6 10 11 14 24; do
	on_terminal 80x24 see:holder kill:$signal -- bitmem top
	check "top: killed by $signal, it gives the terminal back" gave_back "killed $signal"
done
on_terminal 80x24 -- env TERM=nonsense bitmem top
check "top: a terminal of no known kind" has "$OUT" 'bitmem: TERM: .*: nonsense '
check "top: which is a failure" has "$OUT" '^status 1'
kill -KILL "$pid"
await "$pid"
pid=$first

# --- monitor ---

# start_monitor COMMAND...: sets $monitor.
start_monitor()
{
	: >"$ERR"
	"$@" >"$OUT" 2>"$ERR" </dev/null &
	monitor=$!
	wait_for 20 grep -q '^listening' "$ERR"
}

start_monitor bitmem monitor --json --count 1 --timeout 60
check "monitor: says that it listens" has "$ERR" "^listening, pid $monitor\$"
end_holder share-out
await $monitor
check "monitor: ends after an event" status_is 0
check "monitor: one event" lines_are "$OUT" 1
check "monitor: a file closed with buffers" has "$OUT" "\"event\":\"reclaimed\",\"file\":[0-9]*,\"buffers\":2,\"bytes\":[0-9]*,\"pid\":$pid,\"uid\":0,\"comm\":\"holder\"}"

start_monitor bitmem monitor --timeout 300
bitmem load --backend device "$WORK/large.safetensors" >/dev/null 2>&1
wait_for 20 grep -q exhausted "$OUT"
check "monitor: a line for refused requests, at once" has "$OUT" '  exhausted   pool 0, node 0: [0-9]* request.* refused, the last for '
run_quietly()
{
	"$@" >/dev/null 2>&1
}
# Whatever is taken of a pool brings it below such a watermark.
most=$(echo "$defaults" | sed -n 's/^--max //p')
run_quietly bitmem pools --pool 0 --high "$most" --low "$most"
bitmem load --hold --node 0 "$DATA/models/plain.gguf" >"$WORK/held" 2>&1 </dev/null &
pid=$!
wait_for 20 grep -q pressure "$OUT"
check "monitor: a line for pressure" has "$OUT" '  pressure    pool 0, node 0: level low, '
# shellcheck disable=SC2086 # options
run_quietly bitmem pools --pool 0 $defaults
kill -KILL "$pid"
await "$pid"
kill -INT $monitor
await $monitor
check "monitor: SIGINT ends it with 0" status_is 0
start_monitor bitmem monitor
kill -TERM $monitor
await $monitor
check "monitor: SIGTERM ends it with 0" status_is 0
run bitmem monitor --timeout 0.2
check "monitor: a timeout ends it with 0" eval 'status_is 0 && lines_are "$OUT" 0'
run bitmem monitor --timeout 0.2 --count 1
check "monitor: too few events in time" eval 'status_is 1 && has "$ERR" "^bitmem: --timeout: 0 of 1 events"'

start_monitor bitmem monitor --json --timeout 300
kill -STOP $monitor
run_quietly holder churn
kill -CONT $monitor
wait_for 20 grep -q '"lost"' "$OUT"
check "monitor: says that events were lost" has "$OUT" '"event":"lost"}$'
kill -TERM $monitor
await $monitor

: >"$ERR"
full bitmem monitor 2>"$ERR" </dev/null &
monitor=$!
wait_for 20 grep -q '^listening' "$ERR"
start_holder map
end_holder map
await $monitor
check "monitor: stdout full" eval 'status_is 1 && has "$ERR" "stdout: No space left"'
if unshare -n true 2>/dev/null; then
	run unshare -n bitmem monitor
	check "monitor: another network namespace" failed_with 'no family bitmem here'
	run unshare -n bitmem map
	check "map: another network namespace" eval 'succeeded && has "$OUT" "shares, not places" &&
		has "$OUT" "^Nothing is told of owners: netlink does not reach here\.\$"'
	run unshare -n bitmem map --json
	check "map: JSON says why" has "$OUT" '"owners_told":false,"owners_error":"netlink does not reach here",'
	run unshare -n bitmem pools --pool 0 --low 1M
	check "pools: another network namespace" failed_with 'no family bitmem here'
fi

# --- as somebody else ---

start_holder share-out
mode=$(stat -c %a "$device")
chmod 600 "$device"
for command in pools map top 'pools --pool 0 --low 1M'; do
	run as_nobody "bitmem $command"
	check "$command: not permitted to open the device" failed_with "$device: Permission denied (try as root"
done
chmod 666 "$device"
run as_nobody bitmem pools
check "pools: works for others" succeeded
run as_nobody bitmem pools --pool 0 --low 1M --high 2M
check "pools: settings need the capability" failed_with 'pool 0: --low 1M --high 2M: needs CAP_SYS_ADMIN'
check "pools: and are as they were" settings_are "$defaults"
run as_nobody bitmem map
check "map: others are not told whose" eval 'succeeded && has "$OUT" "^  ? allocated, not told by whom " &&
	! has "$OUT" "holder"'
check "map: others are told that there is more" eval 'has "$OUT" "shares, not places" && has "$OUT" "told to root"'
run as_nobody bitmem map --json
check "map: JSON without superblocks for others" eval 'has "$OUT" "\"superblocks\":null}" && ! has "$OUT" "\"superblocks\":\["'
run as_nobody bitmem top --batch --count 1
check "top: others are not told whose" eval 'succeeded && has "$OUT" "by files not told of here" &&
	! has "$OUT" "holder"'
run as_nobody bitmem ps
check "ps: others are not told what is exported" succeeded
: >"$ERR"
as_nobody bitmem monitor --json --count 1 --timeout 60 >"$OUT" 2>"$ERR" </dev/null &
monitor=$!
wait_for 20 grep -q '^listening' "$ERR"
check "monitor: tells others that owners are not told" has "$ERR" '; whose files .* CAP_SYS_ADMIN'
end_holder share-out
await $monitor
check "monitor: others are told of the file alone" has "$OUT" '"event":"reclaimed","file":[0-9]*,"buffers":2,"bytes":[0-9]*}$'
chmod "$mode" "$device"
check_whole "at the end of what shows"
