# SPDX-License-Identifier: GPL-2.0
# nvme-rdma, from the guest's NVMe disk through soft RoCE. Sourced; wants device.sh.
# shellcheck shell=sh

DISK=/dev/nvme0n1

copied()
{
	status_is 0 && cmp -s "$OUT" "$DISK" &&
		has "$ERR" '^20971520 bytes through memory of device, [0-9]* bytes pinned$'
}

# What the device holds comes back a moment after its last reference.
nothing_quarantined()
{
	nothing_allocated && ! bitmem info --json | grep -q '"quarantined":[1-9]'
}

run nvme-rdma "$DISK" rxe0
check "nvme-rdma: no RDMA device" one_complaint 'DEVICE: no RDMA device rxe0'
check "soft RoCE" soft_roce
run nvme-rdma "$WORK/no-such-file" rxe0
check "nvme-rdma: no such file" one_complaint no-such-file
run nvme-rdma "$DISK" rxe0
check "nvme-rdma: what arrived is what is on the disk" copied
check "nvme-rdma: all memory went back" wait_for 30 nothing_quarantined
end_soft_roce
