# SPDX-License-Identifier: GPL-2.0
# hold and attach, on the device, as root: by themselves, and under a service manager that
# keeps descriptors. Sourced after act_device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

plain=$DATA/models/plain.gguf

# start_hold ARGUMENT...: sets $pid.
start_hold()
{
	: >"$WORK/hold"
	bitmem hold "$@" >"$WORK/hold" 2>&1 </dev/null &
	pid=$!
	wait_for 60 grep -q 'holding\|"bytes"' "$WORK/hold"
}

# tensors MODEL: hashes of its tensors, as they were loaded.
tensors()
{
	bitmem load --json --sha256 "$@" | grep -o '"sha256":"[^"]*' | sed 's/.*"//'
}

# attached NAME: hashes of what a program finds where the index says.
attached()
{
	bitmem attach --json "$1" | grep -oE '"(buffer|offset|bytes)":[0-9]+' |
		sed -n '/buffer/,$p' | sed 's/.*://' | paste -d ' ' - - - |
		while read -r buffer offset length; do
			bitmem attach "$1" -- inherit map "$buffer" "$offset" "$length" |
				sha256sum | sed 's/ .*//'
		done
}

# same_tensors NAME MODEL...
same_tensors()
{
	same_name=$1
	shift
	tensors "$@" >"$WORK/loaded"
	attached "$same_name" >"$WORK/attached"
	[ -s "$WORK/loaded" ] && cmp "$WORK/loaded" "$WORK/attached"
}

end_hold()
{
	kill "-$1" "$pid"
	await "$pid"
	check "hold: SIG$1 ends it with $2" status_is "$2"
	check_whole "hold, SIG$1"
	run bitmem attach "$3"
	check "hold: nothing is left of the name after SIG$1" failed_with "^bitmem: $3: nothing is published"
}

# --- by itself ---

start_hold "$plain"
check "hold: says what it holds" has "$WORK/hold" "^holding [1-9][0-9]* bytes, [1-9][0-9]* tensors*, as plain.gguf, pid $pid\$"
run bitmem attach plain.gguf
check "attach: shows a model" eval 'succeeded && has "$OUT" "^NAME .*OFFSET  *BYTES$"'
# Root may do what the mode does not say.
check "attach: shows its buffer" has "$OUT" '^ *0  *[1-9][0-9]*  *write  *1  *0  '
run bitmem attach plain.gguf --json
check "attach: one line of JSON" eval 'succeeded && lines_are "$OUT" 1'
check "attach: JSON has files and tensors" has "$OUT" '"model":{"format":"gguf","bytes":[0-9]*,"files":\[{"path":"[^"]*plain.gguf",.*"tensors":\[{"name":"'
check "attach: the tensors are those of the file" same_tensors plain.gguf "$plain"
run bitmem attach plain.gguf -- inherit index:0
check "attach: a program has what it is told, and no more" succeeded
run bitmem attach plain.gguf -- inherit read index
check "attach: a program reads the index" has "$OUT" '"tensors":\[{"name":"'
run bitmem attach plain.gguf -- inherit write index
check "attach: and cannot change it" status_is 1
run bitmem attach plain.gguf -- sh -c 'exit 7'
check "attach: ends as the program does" status_is 7
run bitmem attach plain.gguf -- /nonexistent/program
check "attach: no such program" failed_with '/nonexistent/program: No such file'
run full bitmem attach plain.gguf
check "attach: stdout full" failed_with 'stdout: No space left'
run bitmem hold "$plain"
check "hold: a name that is taken" failed_with '^bitmem: plain.gguf: is published already'
run bitmem attach none
check "attach: no such name" failed_with '^bitmem: none: nothing is published'
chmod 666 "$device"
run as_nobody bitmem attach --uid 0 plain.gguf
check "attach: others may not" failed_with '^bitmem: plain.gguf: its publisher does not let'
chmod 600 "$device"
for command in 'attach --uid 0 plain.gguf' 'attach --uid 0 plain.gguf -- true' 'hold /dev/null'; do
	run as_nobody "bitmem $command"
	check "$command: not permitted to open the device" failed_with "$device: Permission denied"
done
chmod "$mode" "$device"
end_hold TERM 0 plain.gguf

start_hold --json --name two --mode 0644 "$DATA/good/control.safetensors" "$DATA/good/scalar.safetensors"
check "hold: JSON" has "$WORK/hold" "^{\"name\":\"two\",\"bytes\":[0-9]*,\"tensors\":[0-9]*,\"taken_over\":false,\"pid\":$pid}\$"
check "hold: several files" same_tensors two "$DATA/good/control.safetensors" "$DATA/good/scalar.safetensors"
run bitmem attach two -- inherit index:0:1
check "attach: several buffers" succeeded
run bitmem attach two -- inherit write 1
check "attach: may write where the mode says so" succeeded
run bitmem attach --read-only two -- inherit write 1
check "attach: --read-only" status_is 1
chmod 666 "$device"
run as_nobody bitmem attach --uid 0 two -- inherit map 0 0 1
check "attach: others may read where the mode says so" status_is 0
run as_nobody bitmem attach --uid 0 two -- inherit write 0
check "attach: and not write" status_is 1
chmod "$mode" "$device"
end_hold KILL 137 two

for model in "$DATA"/bad/version99.gguf "$DATA"/bad/nowhere; do
	run bitmem hold "$model"
	check "hold: ${model##*/} is refused" failed_with "^bitmem: $model: "
done
run full bitmem hold "$plain"
check "hold: stdout full" failed_with 'stdout: No space left'
run env NOTIFY_SOCKET="$WORK/nobody" bitmem hold "$plain"
check "hold: a manager that is not there" eval 'status_is 1 && has "$ERR" "^bitmem: NOTIFY_SOCKET: No such file"'
check_whole "hold, what failed"

# --- what is no model ---

start_holder share-out
run bitmem attach 'a name' --json
check "attach: a plain buffer" eval 'succeeded && is model null && is tag published && is bytes $((bytes / 2))'
run bitmem attach 'a name' -- inherit buffer
check "attach: a program on it" succeeded
end_holder share-out

# refuses_index TEXT WHY
refuses_index()
{
	start_holder index "$1"
	run bitmem attach index
	check "attach: refuses an index: $2" failed_with "^bitmem: .*$2"
	end_holder index
}

members='"version":1,"asked":{},"format":"gguf","bytes":1'
refuses_index 'nonsense' 'index: no JSON'
refuses_index '{"version":1}' 'index: a member is missing'
refuses_index "{\"version\":2,\"asked\":{},\"format\":\"gguf\",\"bytes\":1}" 'index: of another version'
refuses_index "{$members,\"files\":[],\"buffers\":[]}" 'index: a list is missing'
refuses_index "{$members,\"files\":[{}],\"buffers\":[],\"tensors\":[]}" 'index: files: '
refuses_index "{$members,\"files\":[],\"buffers\":[{\"id\":1,\"length\":-1}],\"tensors\":[]}" 'index: buffers: '
tensor='"name":"a","dtype":"U8","shape":[2],"buffer":0,"bytes":2'
refuses_index "{$members,\"files\":[],\"buffers\":[{\"id\":1,\"length\":9}],\"tensors\":[{$tensor,\"offset\":8}]}" \
	'index: tensors: .*outside'
refuses_index "{$members,\"files\":[],\"buffers\":[],\"tensors\":[{$tensor,\"offset\":0}]}" 'index: tensors: '
refuses_index "{$members,\"files\":[],\"buffers\":[{\"id\":1,\"length\":9}],\"tensors\":[]}" 'index/0: nothing is published'

# --- with a manager ---

log=$WORK/manager
service_pid()
{
	sed -n 's/^start \([0-9]*\) .*/\1/p' "$log" | tail -n 1
}

# ready_is N: the service was ready so many times.
ready_is()
{
	[ "$(grep -c '^READY=1' "$log")" -ge "$1" ]
}

wait_ready()
{
	wait_for 60 ready_is "$1"
	check "hold: is ready for the ${1}. time" ready_is "$1"
}

# took_over: the last start did.
took_over()
{
	[ "$(grep '^STATUS=[th]o' "$log" | tail -n 1 | cut -c -16)" = 'STATUS=took over' ]
}

model=$WORK/service.gguf
cp "$plain" "$model"
manager "$WORK/notify" bitmem hold --name kept "$model" >"$log" 2>"$ERR" </dev/null &
manager=$!
wait_ready 1
check "hold: tells how far it is" has "$log" '^STATUS=loading, 100% of '
check "hold: asks for more time meanwhile" has "$log" '^EXTEND_TIMEOUT_USEC=[1-9]'
check "hold: tells what it holds" has "$log" '^STATUS=holding .* as kept$'
check "hold: hands its file over" has "$log" '^stored bitmem-hold$'
check "hold: the tensors are there" same_tensors kept "$plain"
held=$(pool allocated)
first=$(service_pid)
kill -KILL "$first"
wait_ready 2
check "hold: kill -9: another process" test "$(service_pid)" != "$first"
check "hold: kill -9: it takes over" took_over
check "hold: kill -9: the memory is the same" allocated_is "$held"
check "hold: kill -9: and the tensors" same_tensors kept "$plain"
for n in 1 2 3; do
	killed=$(service_pid)
	kill -KILL "$killed"
	wait_for 20 eval '[ "$(service_pid)" != "$killed" ]'
done
kill -HUP $manager
ready_again()
{
	[ "$(sed -n '/^start /h; /^start /!H; ${x;p}' "$log" | grep -c '^READY=1')" -ge 1 ]
}
restarted()
{
	[ "$(grep -c '^start ' "$log")" -ge "$1" ] && ready_again
}
wait_for 60 restarted 6
check "hold: a restart: it takes over" eval 'restarted 6 && took_over'
check "hold: a restart: the tensors are there" same_tensors kept "$plain"
touch -d '2020-01-01 00:00:00' "$model"
kill -HUP $manager
wait_for 60 restarted 7
check "hold: another file: says so" has "$ERR" '^bitmem: what was kept is not taken over: a file has changed$'
check "hold: another file: lets go of the old" has "$log" '^removed bitmem-hold 1$'
check "hold: another file: loads it" eval 'restarted 7 && ! took_over'
check "hold: another file: as much memory" allocated_is "$held"
check "hold: another file: the tensors are there" same_tensors kept "$plain"
rm "$model"
kill -HUP $manager
wait_for 60 restarted 8
check "hold: a file that is gone: it takes over" eval 'restarted 8 && took_over'
kill -TERM $manager
await $manager
check "hold: stops with 0" status_is 0
check_whole "hold, stopped"
