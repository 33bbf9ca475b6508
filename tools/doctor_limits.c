// SPDX-License-Identifier: GPL-2.0
/*
 * Limits of the process, and how the machine reaches memory.
 */
#include <dirent.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "doctor.h"
#include "sysfile.h"
#include "text.h"

static bool may_lock(void)
{
	uint64_t effective = 0;
	char line[128];
	FILE *in = fopen("/proc/self/status", "re");

	while (in && fgets(line, sizeof(line), in) &&
	       sscanf(line, "CapEff: %" SCNx64, &effective) != 1)
		;
	if (in)
		fclose(in);
	return effective >> CAP_IPC_LOCK & 1;
}

static void look_at_memlock(struct doctor *doctor)
{
	char size[TEXT_SIZE_LEN];
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY || may_lock()) {
		doctor_add(doctor, "memlock", DOCTOR_OK, "locked memory is not limited");
		return;
	}
	doctor_add(doctor, "memlock", DOCTOR_WARNING,
		   "%s of memory may be locked: fixed buffers of io_uring, RDMA and VFIO count "
		   "against it, and what is not from the device",
		   text_size(limit.rlim_cur, size));
	doctor_remedy(doctor,
		      "LimitMEMLOCK=infinity in the unit, --ulimit memlock=-1 for a container, "
		      "or '@bitmem - memlock unlimited' in /etc/security/limits.d/bitmem.conf");
}

static void look_at_thp(struct doctor *doctor)
{
	char choice[32];

	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1) {
		doctor_add(doctor, "thp", DOCTOR_WARNING,
			   "huge pages are switched off for this process: device memory is mapped "
			   "page by page");
		doctor_remedy(doctor, "do without prctl(PR_SET_THP_DISABLE) in what starts it");
		return;
	}
	if (sysfile_choice("/sys/kernel/mm/transparent_hugepage/shmem_enabled", choice,
			   sizeof(choice)) &&
	    (!strcmp(choice, "never") || !strcmp(choice, "deny"))) {
		doctor_add(
			doctor, "thp", DOCTOR_NOTE,
			"shmem_enabled is %s: where there is no device, memory is of small pages",
			choice);
		doctor_remedy(doctor,
			      "echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled");
		return;
	}
	doctor_add(doctor, "thp", DOCTOR_OK, "huge pages may be used");
}

/* Entries of a directory; 0 if it is not there. */
static unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		n += *entry->d_name != '.';
	if (dir)
		closedir(dir);
	return n;
}

static void look_at_iommu(struct doctor *doctor)
{
	unsigned int units = count_entries("/sys/class/iommu");
	unsigned int groups = count_entries("/sys/kernel/iommu_groups");

	if (groups) {
		doctor_add(doctor, "iommu", DOCTOR_OK, "%u, with %u groups of devices", units,
			   groups);
		return;
	}
	doctor_add(
		doctor, "iommu", DOCTOR_NOTE,
		"none in use: devices reach all memory, pieces are not joined for them, and VFIO "
		"needs its unsafe mode");
	doctor_remedy(doctor,
		      "switch it on in the firmware, and intel_iommu=on (AMD: amd_iommu=on) on "
		      "the kernel's command line, if there is one");
}

void doctor_limits(struct doctor *doctor)
{
	look_at_memlock(doctor);
	look_at_thp(doctor);
	look_at_iommu(doctor);
}
