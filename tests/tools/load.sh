# SPDX-License-Identifier: GPL-2.0
# "bitmem load" on a host with Python, compared with an independent reader. Sourced after
# tap.sh; wants $HERE (this directory), $MODELS (real model files) and $BACKEND.
# shellcheck shell=sh disable=SC2153,SC2154

load()
{
	run bitmem load --backend "$BACKEND" "$@"
}

same_as_reference()
{
	"$HERE/reference" compare "$OUT" "$@"
}

# The table, columns parted by single blanks, without the totals.
table_of()
{
	sed -n '2,/^$/p' "$1" | sed '/^$/d' | tr -s ' '
}

same_table()
{
	table_of "$OUT" >"$WORK/table"
	"$HERE/reference" table "$1" >"$WORK/reference" && sort "$WORK/reference" >"$WORK/a" &&
		sort "$WORK/table" >"$WORK/b" && diff "$WORK/a" "$WORK/b"
}

# json EXPRESSION: true of the object "it".
json()
{
	python3 -c '
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
it = json.loads(text)
sys.exit(0 if text.count("\n") == 1 and eval("(" + sys.argv[2] + ")") else 1)
' "$OUT" "$1"
}

load_model()
{
	name=${1##*/}
	load --json --sha256 "$1"
	check "load: $name: succeeds" succeeded
	check "load: $name: tensors as in the file" same_as_reference "$1"
	check "load: $name: JSON has these members, in this order" json '
		list(it) == ["files", "format", "backend", "io", "bytes", "seconds", "tensors"]
		and it["files"] == ["'"$1"'"] and it["backend"] == "'"$BACKEND"'"
		and it["format"] == ("gguf" if it["files"][0].endswith("gguf") else "safetensors")
		and it["seconds"] > 0 and "+" in it["io"]
		and all(list(t) == ["name", "dtype", "shape", "bytes", "sha256"]
			for t in it["tensors"])'
	load --sha256 "$1"
	check "load: $name: table as in the file" same_table "$1"
	load --json --sha256 --buffered --queue-depth 3 --window 5000 "$1"
	check "load: $name: buffered, odd windows" same_as_reference "$1"
	check "load: $name: says that it was buffered" json 'it["io"].endswith("+buffered")'
}

for model in "$MODELS"/*.gguf "$MODELS"/*.safetensors; do
	if [ -e "$model" ]; then
		load_model "$model"
	else
		tap_skip "load: ${model##*/}" "no such model file"
	fi
done

"$HERE/samples" "$WORK/samples" || exit 1
good=$WORK/samples/good
bad=$WORK/samples/bad

for model in "$good"/*; do
	load --json --sha256 "$model"
	check "load: ${model##*/}: tensors as in the file" same_as_reference "$model"
done
load --json "$good/plain.gguf"
check "load: no sha256 unless asked for" json 'list(it["tensors"][0])[-1] == "bytes"'
load "$good/plain.gguf"
check "load: no hashes in the table unless asked for" lines_are "$OUT" 5
load --json --sha256 "$good/control.safetensors" "$good/scalar.safetensors"
check "load: several files" same_as_reference "$good/control.safetensors" \
	"$good/scalar.safetensors"
check "load: several files are listed" json 'len(it["files"]) == 2'
for model in m-00001-of-00002.gguf m.safetensors.index.json; do
	load --json --sha256 "$WORK/samples/set/$model"
	check "load: set/$model: stands for the whole set" same_as_reference \
		"$WORK/samples/set/$model"
	check "load: set/$model: has both tensors" json 'len(it["tensors"]) == 2'
done
load "$good/control.safetensors"
check "load: control characters are escaped" has "$OUT" \
	'^red\\x1b\[31m\\x0asecond\\x09line  *U8  *\[4\]  *4$'
check "load: no control character gets out" is_harmless "$OUT"
load "$good/unicode.safetensors"
check "load: text is shown, overrides are escaped" has "$OUT" '^größe\.重み\\u{202E}  *F16 '

for model in "$bad"/*; do
	name=$(basename "$model" | tr -c 'A-Za-z0-9.\n-' '?' | tr '\n' '?')
	load --json --sha256 "$model"
	check "load: bad/$name is refused in one line" failed_with "^bitmem: $bad/.*: .*"
done
load "$good/plain.gguf" "$bad/version99.gguf"
check "load: a bad file after a good one" failed_with 'version99.gguf: .*version.*99'

run full bitmem load --backend "$BACKEND" "$good/plain.gguf"
check "load: stdout full" failed_with 'stdout: No space left'
run full bitmem load --backend "$BACKEND" --json --hold "$good/plain.gguf"
check "load: stdout full, and does not hold" failed_with 'stdout: No space left'
run closed bitmem load --backend "$BACKEND" --json "$good/plain.gguf"
check "load: stdout closed" failed_with 'stdout: Bad file descriptor'

# hold_until SIGNAL STATUS: everything is printed before, and the signal ends it.
hold_until()
{
	bitmem load --backend "$BACKEND" --json --sha256 --hold "$good/plain.gguf" \
		>"$OUT" 2>"$ERR" </dev/null &
	pid=$!
	wait_for 10 grep -q '^holding [1-9][0-9]* bytes, pid '$pid'$' "$ERR"
	check "load --hold: says what it holds ($1)" has "$ERR" \
		'^holding [1-9][0-9]* bytes, pid '$pid'$'
	check "load --hold: has printed all ($1)" same_as_reference "$good/plain.gguf"
	check "load --hold: is still there ($1)" kill -0 $pid
	kill "-$1" $pid
	await $pid
	check "load --hold: ends with $2 at SIG$1" status_is "$2"
}

hold_until TERM 0
hold_until INT 0
hold_until KILL 137

# A real terminal with a real ^C.
run "$HERE/terminal" "$BACKEND" "$good/plain.gguf"
check "load: a terminal sees a progress bar" has "$OUT" 'loading \[#*\] 100%'
check "load: the bar is wiped off" has "$OUT" 'wiped'
run "$HERE/terminal" "$BACKEND" "$WORK/samples/big.safetensors" interrupt
check "load: ^C cancels" has "$OUT" '^status 130$'
check "load: ^C is told in one line" has "$OUT" \
	'^said bitmem: .*big.safetensors: cancelled: Interrupt$'
