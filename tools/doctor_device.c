// SPDX-License-Identifier: GPL-2.0
/*
 * Whether the device can be opened, and if not, by whom.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"

/* What of it there is room for in a line. */
#define NAME_LEN 64

static const char *name_group(gid_t gid, char name[NAME_LEN])
{
	const struct group *group = getgrgid(gid);

	if (group)
		snprintf(name, NAME_LEN, "%s", group->gr_name);
	else
		snprintf(name, NAME_LEN, "%u", gid);
	return name;
}

static const char *name_user(uid_t uid, char name[NAME_LEN])
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(name, NAME_LEN, "%s", user->pw_name);
	else
		snprintf(name, NAME_LEN, "%u", uid);
	return name;
}

static void not_permitted(struct doctor *doctor, const struct stat *st)
{
	char user[NAME_LEN], group[NAME_LEN];

	doctor_add(doctor, "device", DOCTOR_PROBLEM,
		   "%s: not permitted to %s; it is for group %s, mode %04o", doctor->device.path,
		   name_user(geteuid(), user), name_group(st->st_gid, group), st->st_mode & 07777);
	if (st->st_gid == 0)
		doctor_remedy(
			doctor,
			"give it a group: groupadd -r bitmem; echo 'KERNEL==\"bitmem\", "
			"GROUP=\"bitmem\", MODE=\"0660\"' >/etc/udev/rules.d/70-bitmem.rules; "
			"udevadm trigger -s misc; then usermod -aG bitmem %s",
			user);
	else
		doctor_remedy(doctor, "usermod -aG %s %s, and log in again", group, user);
}

static void not_opened(struct doctor *doctor, int err)
{
	const char *path = doctor->device.path;
	struct stat st;

	if (err == EACCES && !stat(path, &st)) {
		not_permitted(doctor, &st);
		return;
	}
	doctor_add(doctor, "device", DOCTOR_PROBLEM, "%s: %s", path, strerror(err));
	if (err == EPERM)
		doctor_remedy(doctor,
			      "the container's or unit's rules for devices forbid it: "
			      "--device %s, or DeviceAllow=%s rw",
			      path, path);
	else if (access("/sys/module/bitmem", F_OK))
		doctor_remedy(doctor, "load the module: modprobe bitmem");
	else if (strcmp(path, "/dev/bitmem") != 0)
		doctor_remedy(doctor, "BITMEM_DEVICE in the environment names it: unset it");
	else
		doctor_remedy(doctor, "in a container: hand the device in (--device /dev/bitmem); "
				      "else: udevadm trigger -s misc");
}

static void not_read(struct doctor *doctor, int err)
{
	const struct device *device = &doctor->device;

	if (err == EPROTO) {
		doctor_add(doctor, "device", DOCTOR_PROBLEM,
			   "%s: the module speaks abi %u, this program %u", device->path,
			   device->info.out_abi, BITMEM_ABI);
		doctor_remedy(doctor, "install one version of module, library and tools");
		return;
	}
	doctor_add(doctor, "device", DOCTOR_PROBLEM, "%s: no device of bitmem's (INFO: %s)",
		   device->path, strerror(err));
	doctor_remedy(doctor, "set BITMEM_DEVICE to the device, or unset it");
}

/* Everybody may take all memory. */
static void look_at_mode(struct doctor *doctor)
{
	char group[NAME_LEN];
	struct stat st;

	if (fstat(doctor->device.fd, &st))
		return;
	if (st.st_mode & S_IWOTH) {
		doctor_add(doctor, "device", DOCTOR_WARNING,
			   "%s: everybody may take memory of it, mode %04o", doctor->device.path,
			   st.st_mode & 07777);
		doctor_remedy(doctor, "chmod 660 %s, and the same in the udev rule",
			      doctor->device.path);
		return;
	}
	doctor_add(doctor, "device", DOCTOR_OK,
		   "%s: can be opened; for group %s, mode %04o, abi %u", doctor->device.path,
		   name_group(st.st_gid, group), st.st_mode & 07777, doctor->device.info.out_abi);
}

void doctor_device(struct doctor *doctor)
{
	bool opened;
	int err = device_try(&doctor->device, &opened);

	doctor->has_device = !err;
	if (!opened)
		not_opened(doctor, err);
	else if (err)
		not_read(doctor, err);
	else
		look_at_mode(doctor);
}
