# SPDX-License-Identifier: GPL-2.0
# Other machines' user space: Debian's libraries to link with and to carry into guests, under
# the cache. Sourced, never run.
# shellcheck shell=bash

# What the library, the tools and the tests link with, and the C library itself.
SYSROOT_PACKAGES=(libc6-dev libjansson-dev libncurses-dev libnl-3-dev libnl-genl-3-dev libssl-dev
	libtraceevent-dev libtracefs-dev liburing-dev)
# Drags in a compiler that runs on the other machine, and other things nobody links with.
SYSROOT_UNWANTED='(dpkg|tar|perl|debconf|gcc|cpp|binutils)[-_]'

gnu_triplet()
{
	case $1 in
	arm64) echo aarch64-linux-gnu ;;
	esac
}

sysroot_dir()
{
	local hash

	hash=$(cksum <<<"${SYSROOT_PACKAGES[*]} $SYSROOT_UNWANTED")
	echo "$VM_CACHE/sysroot-$1-${hash%% *}"
}

# Links in packages are absolute here and there.
relative_links()
{
	local link target

	find "$1" -type l -lname '/*' | while read -r link; do
		target=$(readlink "$link")
		ln -sfnr "$1$target" "$link"
	done
}

# fetch_sysroot ARCH: the packages, whatever is installed here.
fetch_sysroot()
{
	local arch=$1 group=bookworm-$1 final tmp deb

	final=$(sysroot_dir "$arch")
	[ ! -d "$final" ] || return 0
	apt_refresh "$group" || die "$arch: no package lists to be had"
	tmp=$(mktemp -d "$VM_CACHE/sysroot.XXXXXX")
	mkdir -p "$tmp/root"
	if apt_download_closure "$group" "$tmp/debs" "${SYSROOT_PACKAGES[@]}"; then
		for deb in "$tmp"/debs/*.deb; do
			[[ ! ${deb##*/} =~ ^$SYSROOT_UNWANTED ]] || continue
			unpack_deb "$deb" "$tmp/root" --exclude='./usr/share' || break
			deb=
		done
		relative_links "$tmp/root"
		[ -n "$deb" ] || mv -T "$tmp/root" "$final"
	fi
	rm -rf "$tmp"
	[ -d "$final" ] || die "$arch: the libraries could not be had"
}
