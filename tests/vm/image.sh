# SPDX-License-Identifier: GPL-2.0
# What a guest boots from: a base (busybox, a few kernel modules), made once for a kernel and
# cached, and the project's programs, packed anew for every run. Sourced, never run.
# shellcheck shell=bash

# With what they depend on; everything else a guest needs is built into Debian's kernels.
GUEST_MODULES=(virtio_pci virtio_console nvme ext4 loop)
# The drivers that tests/clients and tests/examples are about, where the kernel has them.
CLIENT_MODULES=(hwpoison-inject vgem vivid vfio-pci vfio_iommu_type1
	rdma_rxe ib_uverbs crc32_generic dummy)

pack_cpio()
{
	(cd "$1" && find . -mindepth 1 -print0 | sort -z |
		cpio --null --create --format=newc --owner=0:0 --quiet)
}

# The files of the clients' drivers. Not every kernel has all of them.
client_modules()
{
	local name

	for name in "${CLIENT_MODULES[@]}"; do
		modprobe -d "$1" -S "$2" --show-depends "$name" 2>/dev/null |
			sed -n 's/^insmod //p' || true
	done
}

# install_modules KERNELDIR ROOT: uncompressed, with lists that modprobe understands.
install_modules()
{
	local kernel=$1 root=$2 rel ko name

	rel=$(cat "$kernel/release")
	mkdir -p "$root/lib/modules/$rel"
	for name in "${GUEST_MODULES[@]}"; do
		modprobe -d "$kernel" -S "$rel" --show-depends "$name" | sed -n 's/^insmod //p'
	done | cat - <(client_modules "$kernel" "$rel") | sort -u | while read -r ko _; do
		case $ko in
		*.xz) xz -dc "$ko" >"$root/lib/modules/$rel/$(basename "$ko" .xz)" ;;
		*.zst) zstd -qdc "$ko" >"$root/lib/modules/$rel/$(basename "$ko" .zst)" ;;
		*) cp "$ko" "$root/lib/modules/$rel/" ;;
		esac
	done
	cp "$kernel/lib/modules/$rel"/modules.{order,builtin,builtin.modinfo} \
		"$root/lib/modules/$rel/"
	depmod -b "$root" "$rel"
}

# install_busybox BUSYBOX ROOT
install_busybox()
{
	local busybox=$1 root=$2 path

	mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,lib,lib64,usr/lib,etc,root,tmp,proc,sys,dev,run}
	mkdir -p "$root/var" "$root/mnt"
	cp "$busybox" "$root/bin/busybox"
	# Another machine's cannot be asked, but is of the same package and has the same names.
	"$VM_CACHE/busybox" --list-full | while read -r path; do
		[ -e "$root/$path" ] || ln -s /bin/busybox "$root/$path"
	done
	echo 'root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:
nogroup:x:65534:' >"$root/etc/group"
}

# base_image K KERNELDIR: prints the path of the cached base.
base_image()
{
	local kernel=$2 busybox=$VM_CACHE/busybox base root PATH=$PATH:/usr/sbin:/sbin

	[ "$(kernel_arch "$1")" = amd64 ] || busybox+=-$(kernel_arch "$1")
	base=$(cksum - "$busybox" "$VM_DIR/image.sh" <<<"${GUEST_MODULES[*]}" | cksum)
	base=$kernel/base-${base%% *}.cpio
	(
		flock 9
		[ ! -e "$base" ] || exit 0
		root=$(mktemp -d "$kernel/base.XXXXXX")
		trap 'rm -rf "$root"' EXIT
		chmod 755 "$root"
		install_busybox "$busybox" "$root"
		install_modules "$kernel" "$root"
		pack_cpio "$root" >"$root.cpio"
		# Older ones may still be in use by a run that started before.
		find "$kernel" -name 'base-*.cpio' -mtime +1 -delete
		mv "$root.cpio" "$base"
	) 9>"$kernel/base.lock" || return 1
	echo "$base"
}

# needed_libraries FILE...: what the files are linked with, by name.
needed_libraries()
{
	readelf -d -l "$@" 2>/dev/null | sed -nE 's/.*\(NEEDED\).*\[(.*)\]$/\1/p
		s/.*program interpreter: (.*)\]$/\1/p' | sort -u
}

# For another machine's programs, which cannot be asked: what they need by name, and what that
# needs in turn, out of that machine's libraries.
install_foreign_libraries()
{
	local root=$1 sysroot=$2 triplet=$3 programs again=1 name file

	while [ $again = 1 ]; do
		again=0
		mapfile -d '' programs < <(find "$root" -type f '(' -perm /111 -o -name '*.so*' ')' -print0)
		for name in $(needed_libraries "${programs[@]}"); do
			[ ! -e "$root/lib/${name##*/}" ] || continue
			for file in "$sysroot"{,/usr}/lib/{,"$triplet/"}"${name##*/}"; do
				[ -e "$file" ] || continue
				mkdir -p "$root/lib"
				cp -L "$file" "$root/lib/"
				again=1
				break
			done
		done
	done
}

# The shared libraries that the programs under ROOT run with, at the same place as here. ldd
# fails for what is static or a script. install_libraries K ROOT
install_libraries()
{
	local arch root=$2 lib

	arch=$(kernel_arch "$1")
	if [ "$arch" != amd64 ]; then
		"$VM_DIR/kernel" sysroot "$arch"
		install_foreign_libraries "$root" "$(sysroot_dir "$arch")" "$(gnu_triplet "$arch")"
		return
	fi
	find "$root" -type f '(' -perm /111 -o -name '*.so*' ')' -print0 |
		{ LD_LIBRARY_PATH=$VM_OUT/lib xargs -0r ldd 2>/dev/null || true; } |
		sed -nE 's/^\t(.* => )?(\/[^ ]+) \(0x[0-9a-f]+\)$/\2/p' | sort -u |
		while read -r lib; do
			case $lib in
			"$VM_OUT"/*) ;;
			*) [ -e "$root$lib" ] || (cd / && cp -L --parents ".$lib" "$root") ;;
			esac
		done
}

# strip_programs K ROOT: what is for debuggers is half of a program, and guests are small.
strip_programs()
{
	local arch strip=strip file

	arch=$(kernel_arch "$1")
	[ "$arch" = amd64 ] || strip=$(gnu_triplet "$arch")-strip
	find "$2/bitmem" -type f -perm /111 | while read -r file; do
		[ "$(head -c 4 "$file" | tail -c 3)" != ELF ] || "$strip" --strip-debug "$file"
	done
}

# install_programs K ROOT
install_programs()
{
	local from root=$2 part

	from=$(programs_dir "$1")
	for part in bin lib tests; do
		[ -d "$from/$part" ] || continue
		mkdir -p "$root/bitmem/$part"
		rsync -a --exclude='*.o' --exclude='*.d' --exclude='*.a' --exclude='*.gc??' \
			"$from/$part/" "$root/bitmem/$part/"
	done
	strip_programs "$1" "$root"
}

# add_file ROOT FILE[:GUESTPATH]: beside the command's working directory unless told.
add_file()
{
	local root=$1 file=$2 guest=

	if [ ! -e "$file" ] && [[ $file = *:* ]]; then
		guest=${file##*:}
		file=${file%:*}
	fi
	[ -e "$file" ] || die "no such file: $file"
	[ -n "$guest" ] || guest=/root/
	[[ $guest = /* ]] || guest=/root/$guest
	[[ $guest != */ ]] || guest=$guest$(basename "$file")
	mkdir -p "$root$(dirname "$guest")"
	cp -aLT "$file" "$root$guest"
}
