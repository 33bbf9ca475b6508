# SPDX-License-Identifier: GPL-2.0
# doctor on what only a guest may be made to be: sourced last, after explain_device.sh.
# shellcheck shell=sh disable=SC2154

# The guest is booted with some memory for what can be moved.
run bitmem doctor
check "doctor: memory that pools cannot have" finds warning movable '[0-9.]* MiB of '
hugepages=/proc/sys/vm/nr_hugepages
echo 4 >$hugepages
run bitmem doctor
check "doctor: huge pages are no pool's" finds note hugetlb '8 MiB of '
echo 0 >$hugepages

# for_pools OPTION...: for all of them.
for_pools()
{
	for pool in $(bitmem pools --json | grep -o '"index":[0-9]*' | sed 's/.*://'); do
		run_quietly bitmem pools --pool "$pool" "$@"
	done
}

no_capacity()
{
	[ "$(pool capacity)" = 0 ]
}

for_pools --reserve 0 --target 0 --max 0 --low 0 --high 0 --emergency 0
wait_for 30 no_capacity
run bitmem doctor
check "doctor: empty pools are a problem" eval 'status_is 1 && finds problem pool "there is no memory in any pool" &&
	finds problem memory "not a page is free"'

parameters=$(sed 's/^/pool_mb=/' /sys/module/bitmem/parameters/pool_mb)
rmmod bitmem
run bitmem doctor
check "doctor: no module is a problem" eval 'status_is 1 && finds problem module "not loaded" &&
	finds problem device "$device: No such file" && has "$OUT" "-> load the module: modprobe bitmem"'
run bitmem trace --timeout 0
check "trace: no module" failed_with 'events/bitmem: not there (is the module loaded?'
insmod /lib/modules/bitmem.ko "$parameters"
run bitmem info --wait=60
before=$(pool allocated)
run bitmem doctor
check "doctor: loaded again" succeeded

# From here on the kernel takes no module without a signature.
mount -t securityfs none /sys/kernel/security
echo integrity >/sys/kernel/security/lockdown
run bitmem doctor
check "doctor: a module that could not be loaded again" eval 'succeeded &&
	finds warning signature "the kernel is locked down: .*would not be loaded again"'
check_whole "at the end"
