# SPDX-License-Identifier: GPL-2.0
# What both guests' parts of ./run use. Sourced, never run.
# shellcheck shell=sh disable=SC1091

. ./tap.sh

as_user()
{
	runuser -l user -c "$1"
}

# The packages in ./repository are what apt finds, and ./module what dkms is to take, if there
# is one.
take_packages()
{
	rm -rf /srv/bitmem /srv/module /etc/dkms/bitmem.conf
	mkdir -p /srv /etc/dkms
	cp -r repository /srv/bitmem
	cp -r module /srv/module
	[ ! -e module/bitmem.conf ] || cp module/bitmem.conf /etc/dkms/
}

no_unit_failed()
{
	systemctl --failed --plain --no-legend >"$OUT"
	: >"$ERR"
	[ ! -s "$OUT" ] && return
	journalctl -q -b -o short-monotonic -u 'bitmem*' >"$ERR"
	return 1
}
