# SPDX-License-Identifier: GPL-2.0
# Debian's own kernels: image, modules and headers by package name, into the store. Sourced,
# never run.
# shellcheck shell=bash

# What a guest never loads and what takes most of the room.
UNWANTED_MODULES=(
	--exclude='*/kernel/sound'
	--exclude='*/kernel/drivers/gpu/drm/amd'
	--exclude='*/kernel/drivers/gpu/drm/i915'
	--exclude='*/kernel/drivers/gpu/drm/nouveau'
	--exclude='*/kernel/drivers/gpu/drm/radeon'
	--exclude='*/kernel/drivers/gpu/drm/xe'
	--exclude='*/kernel/drivers/net/ethernet'
	--exclude='*/kernel/drivers/net/wireless'
	--exclude='*/kernel/drivers/scsi'
	--exclude='*/kernel/drivers/staging'
)

# What kbuild runs beside the compiler, for a root filesystem made of packages alone.
TOOLCHAIN=(base-files bash binutils coreutils dash diffutils findutils grep make mawk sed)

# The Debian releases to look in, and what the kernel's release looks like there.
kernel_groups()
{
	case $1 in
	newest) echo trixie sid ;;
	arm64) echo bookworm-arm64 ;;
	*) echo bookworm ;;
	esac
}

kernel_regex()
{
	case $1 in
	6.1) echo '6\.1\.0-[0-9]+-amd64' ;;
	arm64) echo '6\.1\.0-[0-9]+-arm64' ;;
	6.12) echo '6\.12\.[0-9]+\+deb12[0-9.]*-amd64' ;;
	newest) echo '[0-9]+\.[0-9.]+\+deb[0-9.]+-amd64' ;;
	esac
}

# Lines "RELEASE GROUP", the highest three.
candidates()
{
	local group regex found=

	regex=$(kernel_regex "$1")
	for group in $(kernel_groups "$1"); do
		apt_refresh "$group" || continue
		found+=$(apt_releases "$group" "$regex" | sed "s/\$/ $group/")$'\n'
	done
	sort -Vr <<<"$found" | sed -n '/./p' | head -n 3
}

# number_at FILE OFFSET BYTES: a little-endian field of the boot header.
number_at()
{
	od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# The kernel proper out of the bzImage: QEMU boots it as it is (PVH), and emulation is spared
# several seconds of unpacking. The payload's last four bytes are its unpacked size. An arm64
# image is the kernel proper already.
extract_vmlinux()
{
	local image=$1 start length unpack

	if [ "$(dd if="$image" bs=1 skip=56 count=4 status=none | tr -d '\0')" = ARMd ]; then
		cp "$image" "$2"
		return
	fi
	start=$((($(number_at "$image" 0x1f1 1) + 1) * 512 + $(number_at "$image" 0x248 4)))
	length=$(($(number_at "$image" 0x24c 4) - 4))
	case $(od -An -t x1 -j $start -N 4 "$image" | tr -d ' ') in
	fd377a58) unpack=xz ;;
	28b52ffd) unpack=zstd ;;
	*) return 1 ;;
	esac
	# Copied whole first: a pipe cut short would count as failure.
	tail -c +$((start + 1)) "$image" >"$2.packed"
	truncate -s $length "$2.packed"
	$unpack -dc <"$2.packed" >"$2" && rm "$2.packed"
}

# Image and modules: one package before 7.x (or 6.19), several since.
install_image()
{
	local group=$1 rel=$2 dir=$3 names=() name deb

	for name in linux-image linux-binary linux-modules linux-base; do
		if apt_has "$group" "$name-$rel"; then
			names+=("$name-$rel")
		fi
	done
	apt_download "$group" "$dir/debs" "${names[@]}" || return 1
	mkdir -p "$dir/root/lib/modules" "$dir/root/usr/lib/modules" "$dir/lib/modules"
	for deb in "$dir"/debs/*.deb; do
		unpack_deb "$deb" "$dir/root" "${UNWANTED_MODULES[@]}" || return 1
	done
	mv "$dir/root/boot/vmlinuz-$rel" "$dir/vmlinuz" 2>/dev/null ||
		mv "$dir/root/usr/lib/modules/$rel/vmlinuz" "$dir/vmlinuz" || return 1
	mv "$dir/root/lib/modules/$rel" "$dir/lib/modules/" 2>/dev/null ||
		mv "$dir/root/usr/lib/modules/$rel" "$dir/lib/modules/" || return 1
	extract_vmlinux "$dir/vmlinuz" "$dir/vmlinux" || return 1
	rm -rf "$dir/root" "$dir/debs" "$dir/lib/modules/$rel"/{build,source} "$dir/vmlinuz"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$dir" "$rel" || return 1
	echo "$rel" >"$dir/release"
}

# kernel_depends GROUP PACKAGE KIND: the linux-KIND-... packages that PACKAGE depends on.
kernel_depends()
{
	apt-cache -c "$(apt_conf "$1")" depends --important "$2" |
		sed -nE "s/^ *Depends: (linux-$3-.*)\$/\1/p"
}

# Debian 12's own compiler builds for Debian 12's kernels: headers alone will do. What kbuild
# runs is taken for this machine, whatever the kernel is for.
install_headers()
{
	local group=$1 rel=$2 dir=$3 final=$4 headers kbuild deb

	headers=$(kernel_depends "$group" "linux-headers-$rel" headers)
	kbuild=$(kernel_depends "$group" "linux-headers-$rel" kbuild)
	# shellcheck disable=SC2086 # lists of names
	apt_download "$group" "$dir/debs" "linux-headers-$rel" $headers || return 1
	apt_refresh bookworm || return 1
	# shellcheck disable=SC2086
	apt_download bookworm "$dir/debs" $kbuild || return 1
	mkdir -p "$dir/headers"
	for deb in "$dir"/debs/*.deb; do
		unpack_deb "$deb" "$dir/headers" || return 1
	done
	sed -i "s,/usr/src/,$final/headers/usr/src/," \
		"$dir/headers/usr/src/linux-headers-$rel/Makefile" || return 1
	ln -s "headers/usr/src/linux-headers-$rel" "$dir/build"
	rm -rf "$dir/debs"
}

# Newer kernels were built by a newer compiler, and their tools want a newer C library: a
# root filesystem with just these, to chroot into.
install_toolchain()
{
	local group=$1 rel=$2 dir=$3 root=$3/toolchain deb

	apt_download_closure "$group" "$dir/debs" "linux-headers-$rel" "${TOOLCHAIN[@]}" ||
		return 1
	mkdir -p "$root"
	# base-files first: it holds the links /bin, /lib and so on.
	for deb in "$dir"/debs/base-files_*.deb "$dir"/debs/*.deb; do
		unpack_deb "$deb" "$root" --exclude='*/lto1' --exclude='*/lto-wrapper' \
			--exclude='*san.a' --exclude='./usr/lib/modules' || return 1
	done
	ln -sf mawk "$root/usr/bin/awk"
	mkdir -p "$root/src" "$root/proc" "$root/dev" "$root/tmp"
	ln -s "toolchain/usr/src/linux-headers-$rel" "$dir/build"
	rm -rf "$dir/debs"
}

# install_kernel K RELEASE GROUP: into the store, moved in place when complete.
install_kernel()
{
	local k=$1 rel=$2 group=$3 version final tmp start=$SECONDS ok=0

	version=$(apt_version "$group" "linux-headers-$rel") || return 1
	final=$STORE/linux-${rel}_${version//[:\/]/_}
	if [ ! -d "$final" ]; then
		log "$k: fetching Linux $rel ($version)"
		tmp=$(mktemp -d "$STORE/tmp.XXXXXX") || return 1
		if install_image "$group" "$rel" "$tmp" &&
		   if [[ $group = bookworm* ]]; then
			install_headers "$group" "$rel" "$tmp" "$final"
		   else
			install_toolchain "$group" "$rel" "$tmp"
		   fi; then
			chmod 755 "$tmp"
			mv -T "$tmp" "$final" && ok=1
		fi
		rm -rf "$tmp"
		[ $ok = 1 ] || return 1
		log "$k: Linux $rel is there, $((SECONDS - start)) s"
	fi
	link_kernel "$k" "${final##*/}"
}
