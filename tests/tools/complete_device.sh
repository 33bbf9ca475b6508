# SPDX-License-Identifier: GPL-2.0
# Completion with what is on the device now. Wants $DATA/share with bash-completion and the
# completion. Sourced after device.sh.
# shellcheck shell=sh disable=SC2153,SC2154

BASH_COMPLETION=$DATA/share/bash-completion/bash_completion
export BASH_COMPLETION

# completed LINE: what is offered, on one line.
completed()
{
	run press-tab "$DATA/share" "$1"
	tr '\n' ' ' <"$OUT"
}

start_holder share-out
indexes=$(bitmem pools --json | grep -o '"index":[0-9]*' | sed 's/.*://' | tr '\n' ' ')
check "completion: pools" [ "$(completed 'bitmem pools --pool ')" = "$indexes" ]
check "completion: of what is there" [ "$(completed 'bitmem pools --json --pool=0')" = '0 ' ]
nodes=$(for node in /sys/devices/system/node/node[0-9]*; do echo "${node##*node}"; done | tr '\n' ' ')
check "completion: nodes" [ "$(completed 'bitmem load --node ')" = "$nodes" ]
check "completion: processes" [ "$(completed 'bitmem migrate --node 0 ')" = "$pid " ]
check "completion: names" [ "$(completed 'bitmem migrate --name ')" = 'a\ name ' ]
kill -KILL "$pid"
await "$pid"
