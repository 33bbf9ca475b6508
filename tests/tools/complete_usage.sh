# SPDX-License-Identifier: GPL-2.0
# Completion without a device, and the manual's pages. Sourced after usage.sh, with $BUILD and
# $REPO.
# shellcheck shell=sh disable=SC2153

commands=$(bitmem help | sed -n 's/^  \([a-z][a-z]*\)  *.*/\1/p')
check "installs what is needed here" make -s -C "$REPO/tools" O="$BUILD" ${SAN:+SAN=1} \
	DESTDIR="$WORK/root" PREFIX=/usr install
share=$WORK/root/usr/share

# offers LINE WORD...: these, in any order, are all that is offered.
offers()
{
	offers_line=$1
	shift
	run press-tab "$share" "$offers_line"
	printf '%s\n' "$@" | sort >"$WORK/expected"
	sort "$OUT" >"$WORK/offered"
	check "completion: $offers_line" eval 'succeeded && diff "$WORK/expected" "$WORK/offered"'
}

# offers_nothing LINE
offers_nothing()
{
	run press-tab "$share" "$1"
	check "completion: $1: nothing" eval 'succeeded && [ ! -s "$OUT" ]'
}

# shellcheck disable=SC2086 # a list of words
offers 'bitmem ' $commands help --help --version
offers 'bitmem mo' monitor
offers 'bitmem --v' --version
# shellcheck disable=SC2086
offers 'bitmem help ' $commands
offers 'bitmem help mon' monitor
offers 'bitmem map --' --color --width --svg --png --json --help
offers 'bitmem pools --lo' --low
offers 'bitmem map --color ' auto always never
offers 'bitmem map --color=a' auto always
offers 'bitmem map --json --color n' never
offers 'bitmem load --backend d' device
offers 'bitmem load --dialect=' ggml bitnet
offers 'bitmem top -s b' bytes buffers
offers 'bitmem run --backend ' device memfd
offers 'bitmem run --stats pres' press-tab
offers 'bitmem quota --' --json --help
offers 'bitmem quota roo' root
offers 'bitmem migrate --uid=roo' root
offers 'bitmem top --sort p' pid
mkdir "$WORK/files" "$WORK/files/directory"
: >"$WORK/files/model.gguf"
offers "bitmem load $WORK/files/" "$WORK/files/directory" "$WORK/files/model.gguf"
offers "bitmem map --svg $WORK/files/m" "$WORK/files/model.gguf"
offers "bitmem metrics -o $WORK/files/mo" "$WORK/files/model.gguf"
offers_nothing 'bitmem load --json --node 99'
offers_nothing 'bitmem monitor --count '
offers_nothing 'bitmem ps '
offers_nothing 'bitmem no-such-command '
offers_nothing 'bitmem map --no-such-option'
# Without a device there is nothing to choose from, and nothing to say about it.
BITMEM_DEVICE=/nonexistent/bitmem
export BITMEM_DEVICE
offers_nothing 'bitmem pools --pool '
unset BITMEM_DEVICE

if [ -d "$BUILD/man" ]; then
	for command in $commands; do
		page=$share/man/man1/bitmem-$command.1
		check "bitmem-$command(1) is there" [ -s "$page" ]
		check "bitmem(1) names it" grep -q "bitmem-$command.*(1)" "$share/man/man1/bitmem.1"
		bitmem help "$command" | grep -oE '^  (-[a-zA-Z], )?--[a-z0-9-]+' |
			grep -oE -e '--[a-z0-9-]+' | sort -u >"$WORK/told"
		sed 's/\\-/-/g; s/\\fB//g; s/\\fR//g' "$page" >"$WORK/page"
		check "bitmem-$command(1) tells of all options" eval \
			'! while read -r option; do
				grep -q -e "$option" "$WORK/page" || echo "$option"; done <"$WORK/told" | grep .'
	done
else
	tap_skip "the manual" "there is no scdoc"
fi
