# SPDX-License-Identifier: GPL-2.0
# What of Debian's packages goes into a guest: files as they are installed here. What the programs
# are linked with, image.sh finds. Sourced, never run.
# shellcheck shell=bash

# The files of these packages that a program needs, as they lie below /.
installed_files()
{
	dpkg-query -L "$@" | sort -u | while read -r file; do
		case $file in
		/usr/share/* | /etc/* | */tests/* | */test/* | */__pycache__/* | */idlelib/*) ;;
		*) [ -d "$file" ] || echo "$file" ;;
		esac
	done
}

# stage_python DIR: Python and NumPy, for a guest; sets STAGED, options for run. Which packages make
# them up is Debian's affair. With PYTHONHOME=/usr.
stage_python()
{
	local version

	version=$("${PYTHON:-/usr/bin/python3}" -c \
		'import sys; print("python%d.%d" % sys.version_info[:2])')
	installed_files "$version-minimal" "lib$version-minimal" "lib$version-stdlib" python3-numpy |
		grep -E "^/usr/(bin/|lib/python)" >"$1/files"
	mkdir "$1/usr"
	rsync -a --files-from="$1/files" / "$1/"
	ln -sf "$version" "$1/usr/bin/python3"
	# shellcheck disable=SC2034 # the caller's
	STAGED=(-a "$1/usr/bin:/usr/local/bin" -a "$1/usr/lib:/usr/lib")
}

# stage_rdma: sets RDMA, options for run: what soft RoCE takes besides the kernel's part, the tool
# that makes a device of a network device, and libibverbs' driver, which is loaded by name; and
# /root/roce.sh.
stage_rdma()
{
	local driver

	driver=$(find /usr/lib -name 'librxe-rdmav*.so' | head -n 1)
	[ -n "$driver" ] || {
		echo "no soft RoCE driver: apt-get install ibverbs-providers" >&2
		return 1
	}
	# shellcheck disable=SC2034 # the caller's
	RDMA=(-a "$(PATH=$PATH:/usr/sbin:/sbin command -v rdma):/usr/local/bin/rdma"
		-a "$driver:$driver" -a /etc/libibverbs.d/rxe.driver:/etc/libibverbs.d/rxe.driver
		-a "$(dirname "${BASH_SOURCE[0]}")/roce.sh:/root/roce.sh")
}
