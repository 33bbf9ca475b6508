# SPDX-License-Identifier: GPL-2.0
# Soft RoCE in a guest, which stage_rdma of packages.sh has prepared: rxe0 on dummy0, 10.0.0.1. Sourced
# after tap.sh.
# shellcheck shell=sh

soft_roce()
{
	modprobe rdma_rxe && modprobe ib_uverbs && modprobe dummy &&
		ip link set dummy0 up && ip addr add 10.0.0.1/24 dev dummy0 &&
		rdma link add rxe0 type rxe netdev dummy0 && wait_for 10 test -c /dev/infiniband/uverbs0
}

end_soft_roce()
{
	rdma link delete rxe0
	rmmod rdma_rxe
}
