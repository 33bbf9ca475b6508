# SPDX-License-Identifier: GPL-2.0
# The guest's options and the QEMU command line, for run and shell. Sourced, never run.
# shellcheck shell=bash

KERNEL=6.1
MEMORY_MB=2048
POOL_MB=
NODES=1
LIMIT=300
LOAD_MODULE=1
FIND_LEAKS=0
ADDED=()
DISKS=()
ROOT_IMAGE=
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
	while getopts :k:m:n:p:t:a:d:r:LM option; do
		case $option in
		k) KERNEL=$OPTARG ;;
		m) MEMORY_MB=$OPTARG ;;
		n) NODES=$OPTARG ;;
		p) POOL_MB=$OPTARG ;;
		t) LIMIT=$OPTARG ;;
		a) ADDED+=("$OPTARG") ;;
		d) DISKS+=("$OPTARG") ;;
		r) ROOT_IMAGE=$OPTARG ;;
		L) FIND_LEAKS=1 ;;
		M) LOAD_MODULE=0 ;;
		*) usage_error "-$OPTARG: no such option, or its value is missing" ;;
		esac
	done
	check_kernel_name "$KERNEL"
	[ $FIND_LEAKS = 0 ] || [[ $KERNEL = debug* ]] ||
		usage_error "-L: the $KERNEL kernel cannot look for leaks"
	is_number "$MEMORY_MB" || usage_error "-m $MEMORY_MB: not a number of MiB"
	is_number "$NODES" || usage_error "-n $NODES: not a number of nodes"
	is_number "$LIMIT" || usage_error "-t $LIMIT: not a number of seconds"
	[ -z "$ROOT_IMAGE" ] || DISKS=("$ROOT_IMAGE" "${DISKS[@]}")
	[ -n "$POOL_MB" ] || POOL_MB=$((MEMORY_MB / 2))
	[[ $POOL_MB =~ ^[0-9]+(,[0-9]+)*$ ]] || usage_error "-p $POOL_MB: not MiB, or a list"
}

check_tools()
{
	case $(kernel_arch "$KERNEL") in
	amd64) need qemu-system-x86_64 qemu-system-x86 ;;
	arm64) need qemu-system-aarch64 qemu-system-arm readelf binutils ;;
	esac
	need cpio cpio rsync rsync xz xz-utils \
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
	if [ -z "$ROOT_IMAGE" ]; then
		install_module "$root"
		install_programs "$KERNEL" "$root"
	fi
	for word in "${ADDED[@]}"; do
		add_file "$root" "$word"
	done
	[ -n "$ROOT_IMAGE" ] || install_libraries "$KERNEL" "$root"
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
	base=$(base_image "$KERNEL" "$("$VM_DIR/kernel" path "$KERNEL")")
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

# has_kvm: whether this machine runs guests of its own kind without emulation.
has_kvm()
{
	grep -qwE 'svm|vmx' /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ]
}

# The emulator with a machine, and that machine's kernel parameters: sets QEMU and APPEND.
# Emulation does rep stosb and movsb byte by byte: without these two flags the kernel clears and
# copies pages by words. Pointer authentication the architecture's way takes most of the time.
machine_amd64()
{
	local accel=(-accel 'tcg,thread=multi' -cpu 'max,-erms,-fsrm')

	! has_kvm || accel=(-accel kvm -cpu host)
	QEMU=(qemu-system-x86_64 -M q35 "${accel[@]}")
	APPEND="console=ttyS0 lpj=10000000 noreplace-smp"
}

machine_arm64()
{
	QEMU=(qemu-system-aarch64 -M virt -accel 'tcg,thread=multi' -cpu 'max,pauth-impdef=on')
	APPEND="console=ttyAMA0"
}

# What the checking kernels are told beside. A warning ends a debug guest at once: what comes
# after it seldom means anything. Not KCSAN's, which reports the kernel's own races as well.
check_parameters()
{
	case $KERNEL in
	debug*) echo "panic_on_warn=1 page_owner=on page_poison=1" ;;
	esac
	[ $FIND_LEAKS = 0 ] || echo kmemleak=on
}

# Sets QEMU. An oops must end the guest, for it would hang otherwise. Not calibrating the delay
# loop and not testing ciphers saves a second; pages that the kernel does not clear by itself
# (Debian's default) save more, and show who forgets to. A kernel that patches its own code
# while another emulated processor runs it sometimes dies of it, and booting is when it does
# that most: init brings up the others.
qemu_command()
{
	local kernel append cpus=2

	[ "$NODES" -le $cpus ] || cpus=$NODES
	# A socket a node: the kernel warns of cores that share a cache but not a node.
	[ "$NODES" -eq 1 ] || cpus=$NODES,sockets=$NODES
	kernel=${BITMEM_VM_KERNEL:-$("$VM_DIR/kernel" path "$KERNEL")/vmlinux}
	"machine_$(kernel_arch "$KERNEL")"
	append="$APPEND quiet oops=panic panic=-1 mitigations=off cryptomgr.notests=1"
	append+=" init_on_alloc=0 maxcpus=1 $(check_parameters) ${BITMEM_VM_APPEND:-}"
	QEMU+=(-smp "$cpus" -m "$MEMORY_MB"
		-nodefaults -no-user-config -display none -nic none -no-reboot
		-kernel "$kernel" -initrd "$DIR/initrd" -append "$append")
	# shellcheck disable=SC2206 # a list of words
	QEMU+=(${BITMEM_VM_QEMU:-})
	[ "$NODES" -eq 1 ] || numa_arguments
	disk_arguments
}
