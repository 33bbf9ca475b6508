# SPDX-License-Identifier: GPL-2.0
# What every script of the guest kit uses. Sourced, never run.
# shellcheck shell=bash

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VM_REPO=$(cd "$VM_DIR/../.." && pwd)
VM_OUT=$(readlink -m "${O:-$VM_REPO/build}")
VM_BUILD=$VM_OUT/vm
VM_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/bitmem
VM_KERNELS=(6.1 6.12 newest arm64 debug debug-6.12 kcsan)

export VM_DIR VM_REPO VM_OUT VM_BUILD VM_CACHE

log()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	log "$*"
	exit 1
}

# need TOOL PACKAGE...: pairs, each checked; one clear line about the first that is missing.
need()
{
	while [ $# -ge 2 ]; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ||
			die "$1 is missing: apt-get install $2"
		shift 2
	done
}

check_kernel_name()
{
	local k

	for k in "${VM_KERNELS[@]}"; do
		[ "$k" = "$1" ] && return 0
	done
	die "no such kernel: '$1' (one of: ${VM_KERNELS[*]})"
}

# Debian's name of the machine that kernel K is for.
kernel_arch()
{
	case $1 in
	arm64) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

# Whether K is built here, from Debian's sources and a configuration of ours.
kernel_is_ours()
{
	case $1 in
	debug | debug-* | kcsan) ;;
	*) return 1 ;;
	esac
}

# programs_dir K: where the programs for K's machine are built.
programs_dir()
{
	case $(kernel_arch "$1") in
	amd64) echo "$VM_OUT" ;;
	*) echo "$VM_OUT/$(kernel_arch "$1")" ;;
	esac
}
