# SPDX-License-Identifier: GPL-2.0
# fetch.py beside serve, which library.sh has tested. Sourced; wants library.sh.
# shellcheck shell=bash

export BITMEM_LIBRARY=${BITMEM_LIBRARY:-$O/lib} PYTHONPATH=$O/python PYTHONDONTWRITEBYTECODE=1
FETCH=("${PYTHON:-/usr/bin/python3}" "$REPO/docs/examples/fetch.py")

sum_right()
{
	local sum

	sum=$("${PYTHON:-/usr/bin/python3}" -c 'import sys, struct
print("%g" % sum(struct.unpack("<16f", open(sys.argv[1], "rb").read()[-64:])))' "$MODEL") &&
		status_is 0 && lines_are "$OUT" 2 &&
		[ "$(sort -u "$OUT")" = "token_embd.weight: F32 [2, 8], sum $sum" ]
}

misused_py()
{
	status_is 2 && has "$ERR" '^usage: '
}

run "${FETCH[@]}"
check "fetch.py: wrong arguments" misused_py
run "${FETCH[@]}" "$SOCKET" x
check "fetch.py: nobody serves" one_complaint 'No such file'
check "serve is ready for Python" start_serve
run "${FETCH[@]}" "$SOCKET" token_embd.weight token_embd.weight
check "fetch.py gets tensors as arrays" sum_right
run "${FETCH[@]}" "$SOCKET" nope
check "fetch.py: no such tensor" one_complaint 'nope: No such file'
kill "$SERVER"
await "$SERVER"
