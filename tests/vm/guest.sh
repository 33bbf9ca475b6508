# SPDX-License-Identifier: GPL-2.0
# The guest's options and the QEMU command line, for run and shell. Sourced, never run.
# shellcheck shell=bash

KERNEL=6.1
MEMORY_MB=2048
POOL_MB=
NODES=1
LIMIT=300
LOAD_MODULE=1
ADDED=()
DISKS=()
DIR=

is_number()
{
	[[ $1 =~ ^[1-9][0-9]*$ ]]
}

# parse_options ARG...: leaves OPTIND at the first argument that is not an option.
parse_options()
{
	local option

	OPTIND=1
	while getopts :k:m:n:p:t:a:d:M option; do
		case $option in
		k) KERNEL=$OPTARG ;;
		m) MEMORY_MB=$OPTARG ;;
		n) NODES=$OPTARG ;;
		p) POOL_MB=$OPTARG ;;
		t) LIMIT=$OPTARG ;;
		a) ADDED+=("$OPTARG") ;;
		d) DISKS+=("$OPTARG") ;;
		M) LOAD_MODULE=0 ;;
		*) usage_error "-$OPTARG: no such option, or its value is missing" ;;
		esac
	done
	check_kernel_name "$KERNEL"
	is_number "$MEMORY_MB" || usage_error "-m $MEMORY_MB: not a number of MiB"
	is_number "$NODES" || usage_error "-n $NODES: not a number of nodes"
	is_number "$LIMIT" || usage_error "-t $LIMIT: not a number of seconds"
	[ -n "$POOL_MB" ] || POOL_MB=$((MEMORY_MB / 2))
	[[ $POOL_MB =~ ^[0-9]+(,[0-9]+)*$ ]] || usage_error "-p $POOL_MB: not MiB, or a list"
}

check_tools()
{
	need qemu-system-x86_64 qemu-system-x86 cpio cpio rsync rsync xz xz-utils \
		zstd zstd modprobe kmod timeout coreutils flock util-linux ldd libc-bin
}

# The module goes in as a file even where the command is to load it by itself.
install_module()
{
	local ko=$VM_OUT/kmod/$KERNEL/bitmem.ko

	if [ "$LOAD_MODULE" = 1 ]; then
		"$VM_DIR/kernel" module "$KERNEL" || die "bitmem.ko did not build for $KERNEL"
	elif ! "$VM_DIR/kernel" module "$KERNEL"; then
		log "bitmem.ko did not build for $KERNEL; the guest goes without it"
		return 0
	fi
	mkdir -p "$1/lib/modules"
	cp "$ko" "$1/lib/modules/"
}

# A word for the guest's shell to read back as it is.
quote()
{
	printf "'%s'" "${1//\'/\'\\\'\'}"
}

# Sets DIR, which the caller's trap removes.
make_workdir()
{
	"$VM_DIR/kernel" fetch "$KERNEL"
	mkdir -p "$VM_BUILD"
	DIR=$(mktemp -d "$VM_BUILD/run.XXXXXX")
}

# make_initrd MODE [COMMAND...]: leaves DIR/initrd.
make_initrd()
{
	local mode=$1 root=$DIR/root word base

	shift
	mkdir -p "$root/vm"
	install_module "$root"
	install_programs "$root"
	for word in "${ADDED[@]}"; do
		add_file "$root" "$word"
	done
	install_libraries "$root"
	cp "$VM_DIR/init" "$root/init"
	cat >"$root/vm/config" <<-END
		mode=$mode
		module=$LOAD_MODULE
		pool=$POOL_MB
		disks=${#DISKS[@]}
	END
	{
		printf exec
		for word in "$@"; do
			printf ' '
			quote "$word"
		done
		echo
	} >"$root/vm/command"
	base=$(base_image "$("$VM_DIR/kernel" path "$KERNEL")")
	{ cat "$base"; pack_cpio "$root"; } >"$DIR/initrd"
	rm -rf "$root"
}

numa_arguments()
{
	local node share=$((MEMORY_MB / NODES)) size

	for ((node = 0; node < NODES; node++)); do
		size=$share
		[ $((node + 1)) -lt "$NODES" ] || size=$((MEMORY_MB - share * (NODES - 1)))
		QEMU+=(-object "memory-backend-ram,id=ram$node,size=${size}M"
			-numa "node,nodeid=$node,cpus=$node,memdev=ram$node")
	done
}

disk_arguments()
{
	local n file

	for n in "${!DISKS[@]}"; do
		file=$(readlink -f "${DISKS[n]}")
		[ -r "$file" ] || die "no such disk image: ${DISKS[n]}"
		QEMU+=(-drive "file=${file//,/,,},format=raw,if=none,id=disk$n,cache=unsafe"
			-device "nvme,drive=disk$n,serial=bitmem$n")
	done
}

# Sets QEMU. An oops must end the guest, for it would hang otherwise. Not calibrating the delay
# loop and not testing ciphers saves a second; pages that the kernel does not clear by itself
# (Debian's default) save more, and show who forgets to. Emulation does rep stosb and movsb byte by
# byte: without these two flags the kernel clears and copies pages by words. A kernel that patches
# its own code while another emulated processor runs it sometimes dies of it, and booting is when
# it does that most: init brings up the others.
qemu_command()
{
	local accel=(-accel 'tcg,thread=multi' -cpu 'max,-erms,-fsrm') kernel append cpus=2

	if grep -qwE 'svm|vmx' /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		accel=(-accel kvm -cpu host)
	fi
	[ "$NODES" -le $cpus ] || cpus=$NODES
	# A socket a node: the kernel warns of cores that share a cache but not a node.
	[ "$NODES" -eq 1 ] || cpus=$NODES,sockets=$NODES
	kernel=${BITMEM_VM_KERNEL:-$("$VM_DIR/kernel" path "$KERNEL")/vmlinux}
	append="console=ttyS0 quiet oops=panic panic=-1 mitigations=off"
	append+=" lpj=10000000 cryptomgr.notests=1 init_on_alloc=0"
	append+=" maxcpus=1 noreplace-smp ${BITMEM_VM_APPEND:-}"
	QEMU=(qemu-system-x86_64 -M q35 "${accel[@]}" -smp "$cpus" -m "$MEMORY_MB"
		-nodefaults -no-user-config -display none -nic none -no-reboot
		-kernel "$kernel" -initrd "$DIR/initrd" -append "$append")
	[ "$NODES" -eq 1 ] || numa_arguments
	disk_arguments
}
