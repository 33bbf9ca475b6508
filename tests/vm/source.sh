# SPDX-License-Identifier: GPL-2.0
# Kernels that catch mistakes: built from Debian's linux-source and a configuration of ours,
# kept in the store under the version of the source and a hash of all that went into them.
# Sourced, never run.
# shellcheck shell=bash

CONFIG_DIR=$VM_DIR/config
SOURCES=$VM_CACHE/sources

# Parts of the tree that no configuration here compiles; Kconfig wants the rest complete.
UNWANTED_SOURCES=(
	--exclude='*/Documentation/*.rst'
	--exclude='*/drivers/gpu/*.[ch]'
	--exclude='*/drivers/media/*.[ch]'
	--exclude='*/drivers/net/ethernet/*.[ch]'
	--exclude='*/drivers/net/wireless/*.[ch]'
	--exclude='*/drivers/scsi/*.[ch]'
	--exclude='*/drivers/staging/*.[ch]'
	--exclude='*/sound/*.[ch]'
	--exclude='*/tools/perf/*'
	--exclude='*/tools/testing/*'
	--exclude='*.dts'
	--exclude='*.dtsi'
)

# A PVH image runs some of its code before it runs at the addresses it was linked for, where
# KASAN would look for its shadow in vain; and kmemleak reads all of the memory.
BUILD_FLAGS=(KASAN_SANITIZE_enlighten.o=n KASAN_SANITIZE_string.o=n
	KASAN_SANITIZE_kmemleak.o=n UBSAN_SANITIZE_kmemleak.o=n)

source_series()
{
	case $1 in
	debug-6.12) echo 6.12 ;;
	*) echo 6.1 ;;
	esac
}

# source_configs K: the fragments it is made of, later ones win.
source_configs()
{
	local name

	for name in base "base-$(source_series "$1")" "${1%%-*}" "${1%%-*}-$(source_series "$1")"; do
		[ ! -e "$CONFIG_DIR/$name.config" ] || echo "$CONFIG_DIR/$name.config"
	done
}

source_configs_all()
{
	local files

	mapfile -t files < <(source_configs "$1")
	cat "${files[@]}"
}

# source_hash K: changes when anything of ours does that decides what is built: the configuration,
# the flags, the functions that build and choose what is kept.
source_hash()
{
	local hash

	hash=$({
		source_configs_all "$1"
		echo "${BUILD_FLAGS[*]}"
		declare -f source_make configure_source build_source install_build_tree
	} | sha256sum)
	echo "${hash:0:12}"
}

# source_tarball PACKAGE VERSION: the package in the cache, downloaded unless it is there.
source_tarball()
{
	local deb=$SOURCES/$1_${2//:/%3a}_all.deb

	if [ ! -e "$deb" ]; then
		log "downloading $1 ($2)"
		mkdir -p "$SOURCES"
		rm -rf "$SOURCES/partial.$1"
		apt_download bookworm "$SOURCES/partial.$1" "$1=$2" || return 1
		find "$SOURCES" -maxdepth 1 -name "$1_*" -delete
		mv "$SOURCES/partial.$1"/*.deb "$deb" && rmdir "$SOURCES/partial.$1" || return 1
	fi
	echo "$deb"
}

unpack_source()
{
	local deb=$1 package=$2 dir=$3

	mkdir -p "$dir"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$package.tar.xz" | xz -dc -T0 |
		tar -x -C "$dir" --strip-components=1 --wildcards --wildcards-match-slash \
			"${UNWANTED_SOURCES[@]}"
}

# source_make DIR ARG...: in the tree itself, so that paths are relative and the compiler's
# cache holds whatever the tree's place. Nothing in the image depends on who built it when.
source_make()
{
	local dir=$1 cc=gcc-12

	shift
	if command -v ccache >/dev/null; then
		export CCACHE_DIR=$VM_CACHE/ccache CCACHE_MAXSIZE=2G
		cc='ccache gcc-12'
	fi
	env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u O -u ARCH -u CROSS_COMPILE \
		KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=bitmem KBUILD_BUILD_HOST=bitmem \
		nice -n 5 make -s -C "$dir" CC="$cc" HOSTCC="$cc" "${BUILD_FLAGS[@]}" "$@"
}

# Every option asked for must be there: Kconfig drops silently what it cannot have.
check_config()
{
	local asked=$1 made=$2

	awk -F= '
		/^#|^$/ { next }
		FILENAME == ARGV[1] { want[$1] = $0; next }
		{ have[$1] = $0 }
		END {
			for (name in want) {
				off = want[name] ~ /=n$/
				if (off ? name in have : have[name] != want[name]) {
					print "not to be had: " want[name]
					bad = 1
				}
			}
			exit bad
		}' "$asked" "$made" >&2
}

configure_source()
{
	local k=$1 dir=$2

	source_configs_all "$k" >"$dir/asked.config"
	source_make "$dir" KCONFIG_ALLCONFIG=asked.config allnoconfig >&2 &&
		check_config "$dir/asked.config" "$dir/.config"
}

# What modules are built against: headers, makefiles and the tools kbuild runs.
install_build_tree()
{
	local dir=$1 build=$2

	mkdir -p "$build"
	(
		cd "$dir"
		find . arch/x86 -maxdepth 1 -type f -name 'Makefile*'
		find include scripts arch/x86/include '(' -type f -o -type l ')' \
			! -name '*.o' ! -name '.*.cmd'
		find . -maxdepth 1 -name .config -o -maxdepth 1 -name Module.symvers
		[ ! -e tools/objtool/objtool ] || echo tools/objtool/objtool
	) | rsync -a --files-from=- "$dir/" "$build/"
}

# build_source K DIR: DIR/src is the tree; leaves what the store holds for any kernel.
build_source()
{
	local k=$1 dir=$2 rel

	configure_source "$k" "$dir/src" || return 1
	source_make "$dir/src" -j"$(nproc)" vmlinux modules >"$dir/build.log" 2>&1 || {
		tail -n 30 "$dir/build.log" >&2
		return 1
	}
	rel=$(cat "$dir/src/include/config/kernel.release")
	source_make "$dir/src" INSTALL_MOD_PATH="$dir" DEPMOD=true modules_install >&2 || return 1
	rm -f "$dir/lib/modules/$rel"/{build,source}
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$dir" "$rel" || return 1
	install_build_tree "$dir/src" "$dir/build" || return 1
	mv "$dir/src/vmlinux" "$dir/vmlinux"
	rm -rf "$dir/src" "$dir/build.log"
	echo "$rel" >"$dir/release"
}

# install_source K VERSION: into the store. One build at a time, for each takes all processors.
install_source()
{
	local k=$1 version=$2 package final tmp=$STORE/building-$1 deb start=$SECONDS

	package=linux-source-$(source_series "$k")
	final=$STORE/$(source_name "$k" "$version")
	[ ! -d "$final" ] || return 0
	need make make gcc-12 gcc-12 flex flex bison bison bc bc rsync rsync
	[ -e /usr/include/gelf.h ] || die 'gelf.h is missing: apt-get install libelf-dev'
	deb=$(source_tarball "$package" "$version") || return 1
	log "$k: building Linux ($package $version), which takes a while"
	rm -rf "$tmp"
	mkdir -p "$tmp"
	if ! { unpack_source "$deb" "$package" "$tmp/src" && build_source "$k" "$tmp"; }; then
		rm -rf "$tmp"
		return 1
	fi
	mv -T "$tmp" "$final"
	find "$STORE" -maxdepth 1 -name "linux-*-$k-????????????" -mtime +7 \
		-exec rm -rf '{}' +
	log "$k: Linux $(cat "$final/release") is there, $((SECONDS - start)) s"
}

source_name()
{
	echo "linux-${2//[:\/]/_}-$1-$(source_hash "$1")"
}

# The version to build: the newest that Debian has, or where its lists are out of reach,
# that of the package that is in the cache.
source_version()
{
	local package version

	package=linux-source-$(source_series "$1")
	if apt_refresh bookworm && version=$(apt_version bookworm "$package") &&
	   [ -n "$version" ]; then
		echo "$version"
		return 0
	fi
	find "$SOURCES" -maxdepth 1 -name "${package}_*_all.deb" 2>/dev/null |
		sed -nE 's/.*_(.*)_all\.deb$/\1/p' | sed 's/%3a/:/' | sort -V | tail -n 1
}

# fetch_source K: STORE/K is what the sources of today and the configuration of now make.
fetch_source()
{
	local k=$1 version

	version=$(source_version "$k")
	if [ -z "$version" ]; then
		source_is_current "$k" || die "$k: no linux-source-$(source_series "$k") to be had"
		log "$k: Debian is out of reach; staying with $(cat "$STORE/$k/release")"
		return 0
	fi
	(
		flock 7
		install_source "$k" "$version"
	) 7>"$STORE/build.lock" || die "$k: the kernel could not be built"
	link_kernel "$k" "$(source_name "$k" "$version")"
}

# Whether STORE/K is as the configuration of now makes it.
source_is_current()
{
	[[ $(readlink "$STORE/$1" 2>/dev/null) = *-"$1-$(source_hash "$1")" ]]
}
