// SPDX-License-Identifier: GPL-2.0
/*
 * Whether the module is loaded, and if not, why.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bitmem/bitmem.h>

#include "doctor.h"
#include "sysfile.h"

#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/* Whether "bitmem.ko", maybe compressed, is installed for kernel @release. */
static bool is_installed(const char *release)
{
	char path[sizeof("/lib/modules//modules.dep") + sizeof(((struct utsname *)0)->release)];
	char line[4096];
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", release);
	in = fopen(path, "re");
	while (in && !found && fgets(line, sizeof(line), in)) {
		line[strcspn(line, ":")] = '\0';
		found = strstr(line, "/bitmem.ko") || !strncmp(line, "bitmem.ko", 9);
	}
	if (in)
		fclose(in);
	return found;
}

/* The variable has four bytes of attributes, then its value. */
static bool is_secure_boot(void)
{
	unsigned char bytes[5] = {0};
	FILE *in = fopen(SECURE_BOOT, "re");
	bool on = in && fread(bytes, 1, sizeof(bytes), in) == sizeof(bytes) && bytes[4] == 1;

	if (in)
		fclose(in);
	return on;
}

/* Why the kernel takes signed modules only; NULL if it does not. */
static const char *wants_signature(void)
{
	char word[32];

	if (sysfile_line("/sys/module/module/parameters/sig_enforce", word, sizeof(word)) &&
	    *word == 'Y')
		return "module.sig_enforce is set";
	if (sysfile_choice("/sys/kernel/security/lockdown", word, sizeof(word)) &&
	    strcmp(word, "none") != 0)
		return is_secure_boot() ? "Secure Boot is on and the kernel locked down"
					: "the kernel is locked down";
	return NULL;
}

/* Loaded modules say so. */
static bool is_unsigned(void)
{
	char taint[32];

	return sysfile_line("/sys/module/bitmem/taint", taint, sizeof(taint)) && strchr(taint, 'E');
}

static void look_at_signature(struct doctor *doctor, bool loaded)
{
	const char *why = wants_signature();

	if (!why) {
		doctor_add(doctor, "signature", DOCTOR_OK,
			   "the kernel takes modules without a signature%s",
			   is_secure_boot() ? ", though Secure Boot is on" : "");
		return;
	}
	if (loaded && !is_unsigned()) {
		doctor_add(doctor, "signature", DOCTOR_OK, "%s: the module is signed", why);
		return;
	}
	doctor_add(doctor, "signature", DOCTOR_WARNING,
		   "%s: modules need the signature of a key that the machine trusts%s", why,
		   loaded ? ", so that this one would not be loaded again" : "");
	doctor_remedy(
		doctor,
		"let DKMS sign it: mokutil --import /var/lib/dkms/mok.pub, reboot and confirm "
		"the key, dkms install --force bitmem/%s",
		bitmem_version());
}

static void look_for_it(struct doctor *doctor)
{
	struct utsname name;

	uname(&name);
	if (is_installed(name.release)) {
		doctor_add(doctor, "module", DOCTOR_PROBLEM,
			   "not loaded, but installed for this kernel, %s", name.release);
		doctor_remedy(doctor, "modprobe bitmem; if that fails, dmesg says why");
		return;
	}
	doctor_add(doctor, "module", DOCTOR_PROBLEM,
		   "not loaded, and not installed for this kernel, %s", name.release);
	doctor_remedy(doctor,
		      "install the headers (Debian: linux-headers-%s), then dkms install bitmem/%s "
		      "and modprobe bitmem",
		      name.release, bitmem_version());
}

static void compare_versions(struct doctor *doctor)
{
	const char *library = bitmem_version();
	char module[32];

	sysfile_line("/sys/module/bitmem/version", module, sizeof(module));
	if (!strcmp(module, library) && !strcmp(library, TOOLS_VERSION)) {
		doctor_add(doctor, "module", DOCTOR_OK,
			   "loaded; module, library and this program are %s", library);
		return;
	}
	doctor_add(doctor, "module", DOCTOR_WARNING,
		   "versions differ: module %s, library %s, this program " TOOLS_VERSION,
		   *module ? module : "unknown", library);
	doctor_remedy(doctor, "install one version of all; then, while nobody uses it: "
			      "modprobe -r bitmem && modprobe bitmem");
}

void doctor_module(struct doctor *doctor)
{
	bool loaded = !access("/sys/module/bitmem", F_OK);

	if (loaded)
		compare_versions(doctor);
	else
		look_for_it(doctor);
	look_at_signature(doctor, loaded);
}
