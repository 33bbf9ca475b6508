# SPDX-License-Identifier: GPL-2.0
# The examples that use the library, on either backend. Sourced; wants ../tools/tap.sh, MODEL.
# shellcheck shell=sh

SOCKET=$WORK/socket

misused_by_all()
{
	for program in "$@"; do
		run "$program" --no-such-thing too many arguments
		status_is 2 && [ ! -s "$OUT" ] && has "$ERR" '^usage: ' || return 1
	done
}

one_complaint()
{
	status_is 1 && [ ! -s "$OUT" ] && lines_are "$ERR" 1 && has "$ERR" "$1"
}

serving()
{
	grep -qx ready "$WORK/serve.out"
}

start_serve()
{
	serve "$MODEL" "$SOCKET" >"$WORK/serve.out" 2>"$WORK/serve.err" &
	SERVER=$!
	wait_for 60 serving
}

tensor_of_file()
{
	tail -c 64 "$MODEL" >"$WORK/expected"
	cmp -s "$WORK/expected" "$OUT"
}

fetched()
{
	status_is 0 && tensor_of_file && has "$ERR" '^token_embd.weight: F32 \[2, 8\], 64 bytes$'
}

# Twenty at a time, each with a connection of its own.
crowd()
{
	for client in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		(fetch "$SOCKET" token_embd.weight 2>/dev/null | cmp -s - "$WORK/expected" ||
			touch "$WORK/failed.$client") &
		CROWD="${CROWD:-} $!"
	done
	# shellcheck disable=SC2086 # a list of words
	wait $CROWD
	! ls "$WORK"/failed.* >/dev/null 2>&1
}

check "tensor, serve, fetch, nvme-rdma: wrong arguments" misused_by_all tensor serve fetch nvme-rdma

BITMEM_LEAKS=1 run tensor
tensors_right()
{
	status_is 0 && [ ! -s "$ERR" ] && has "$OUT" '^row 2: sum 156; all 32: sum 496$' &&
		has "$OUT" '^in the step: 2 tensors$' &&
		has "$OUT" '^alive: 1 tensor, 128 bytes, 0 views$' &&
		has "$OUT" 'tensor.c:[0-9]* main (tensor, F32)$' &&
		has "$OUT" '^left at the end: 0$'
}
check "tensor" tensors_right

run serve "$WORK/no-such-model" "$SOCKET"
check "serve: no such model" one_complaint no-such-model
run fetch "$SOCKET" x
check "fetch: nobody serves" one_complaint "$SOCKET"

check "serve is ready" start_serve
run fetch "$SOCKET" token_embd.weight
check "fetch gets a tensor's memory" fetched
run fetch "$SOCKET" nope
check "fetch: no such tensor" one_complaint 'nope: No such file'
check "serve: many clients at a time" crowd
run serve "$MODEL" "$SOCKET"
check "serve: somebody else has the socket" has "$ERR" 'in use'
kill "$SERVER"
await "$SERVER"
# What it did not give back itself would be told of in its exit status.
check "serve ends when it is asked to, with nothing left" [ "$STATUS" -eq 0 ]
check "serve takes its socket away" [ ! -e "$SOCKET" ]
