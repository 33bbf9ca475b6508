# SPDX-License-Identifier: GPL-2.0
# TAP output and the checks that all tests of the tool use. POSIX sh, for busybox too.
# Sourced, never run. Programs are found on the PATH.
# shellcheck shell=sh

echo "TAP version 13"
TAP_N=0
TAP_FAILED=0
export LC_ALL=C
WORK=$(mktemp -d "${TMPDIR:-/tmp}/bitmem-tools.XXXXXX") || exit 1
# Of the last program that run() ran.
OUT=$WORK/stdout
ERR=$WORK/stderr
STATUS=0

# tap_ok NAME, tap_not_ok NAME [WHY]
tap_ok()
{
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N $1"
}

tap_not_ok()
{
	TAP_N=$((TAP_N + 1))
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_N $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

tap_skip()
{
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N $1 # SKIP $2"
}

tap_end()
{
	rm -rf "$WORK"
	echo "1..$TAP_N"
	[ "$TAP_FAILED" -eq 0 ]
}

# run COMMAND...: keeps what it prints and its status.
run()
{
	STATUS=0
	"$@" >"$OUT" 2>"$ERR" </dev/null || STATUS=$?
}

describe()
{
	printf 'status %s, stdout:\n' "$STATUS"
	head -c 2000 "$OUT"
	printf 'stderr:\n'
	head -c 2000 "$ERR"
}

# check NAME COMMAND...: the command must succeed.
check()
{
	check_name=$1
	shift
	if "$@" >"$WORK/check" 2>&1; then
		tap_ok "$check_name"
	else
		tap_not_ok "$check_name" "$* failed: $(head -c 2000 "$WORK/check")
$(describe)"
	fi
}

# Conditions on what run() left.
status_is()
{
	[ "$STATUS" -eq "$1" ]
}

lines_are()
{
	[ "$(wc -l <"$1")" -eq "$2" ]
}

has()
{
	grep -q -e "$2" "$1"
}

# Only printable ASCII, line ends and UTF-8 that is none of C1.
is_harmless()
{
	! tr -d '\n\040-\176\200-\377' <"$1" | grep -q .
}

# Failed in the way a user can read: status 1, nothing on stdout, one line on stderr.
failed_with()
{
	status_is 1 && [ ! -s "$OUT" ] && lines_are "$ERR" 1 && is_harmless "$ERR" &&
		has "$ERR" '^bitmem: ' && has "$ERR" "$1"
}

misused()
{
	status_is 2 && [ ! -s "$OUT" ] && [ -s "$ERR" ] && is_harmless "$ERR"
}

succeeded()
{
	status_is 0 && [ ! -s "$ERR" ]
}

# await PID: a program of our own in the background, as run() would have ended.
await()
{
	STATUS=0
	wait "$1" 2>/dev/null || STATUS=$?
}

# full COMMAND..., closed COMMAND...: with nowhere to write to.
full()
{
	"$@" >/dev/full
}

closed()
{
	"$@" >&-
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for()
{
	wait_left=$(($1 * 10))
	shift
	until "$@" >/dev/null 2>&1; do
		wait_left=$((wait_left - 1))
		[ "$wait_left" -gt 0 ] || return 1
		sleep 0.1
	done
}
