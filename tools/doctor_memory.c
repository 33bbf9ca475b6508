// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that pools cannot have.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "sysfile.h"
#include "text.h"

/* Bytes of all nodes' ZONE_MOVABLE. */
static uint64_t movable_bytes(void)
{
	FILE *in = fopen("/proc/zoneinfo", "re");
	bool movable = false;
	uint64_t pages = 0;
	char line[256];
	char zone[16];

	while (in && fgets(line, sizeof(line), in)) {
		uint64_t n;

		if (sscanf(line, "Node %*u, zone %15s", zone) == 1)
			movable = !strcmp(zone, "Movable");
		else if (movable && sscanf(line, " managed %" SCNu64, &n) == 1)
			pages += n;
	}
	if (in)
		fclose(in);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void doctor_memory(struct doctor *doctor)
{
	uint64_t hugetlb = sysfile_meminfo("Hugetlb");
	uint64_t cma = sysfile_meminfo("CmaTotal");
	uint64_t movable = movable_bytes();
	char size[TEXT_SIZE_LEN], total[TEXT_SIZE_LEN];

	text_size(sysfile_meminfo("MemTotal"), total);
	if (hugetlb) {
		doctor_add(doctor, "hugetlb", DOCTOR_NOTE,
			   "%s of %s are reserved as huge pages, which pools cannot have",
			   text_size(hugetlb, size), total);
		doctor_remedy(doctor, "if nobody needs them: sysctl vm.nr_hugepages=0, and no "
				      "hugepages= on the kernel's command line");
	}
	if (movable) {
		doctor_add(doctor, "movable", DOCTOR_WARNING,
			   "%s of %s are for what can be moved, which pinned memory cannot",
			   text_size(movable, size), total);
		doctor_remedy(doctor,
			      "no kernelcore=, movablecore= or movable_node on the kernel's "
			      "command line; online_kernel for memory that is plugged in");
	}
	if (cma)
		doctor_add(doctor, "cma", DOCTOR_NOTE,
			   "%s of %s are kept for devices' own allocations (CMA)",
			   text_size(cma, size), total);
	if (!hugetlb && !movable && !cma)
		doctor_add(doctor, "zones", DOCTOR_OK, "pools may have memory of everywhere, %s",
			   total);
}
