# SPDX-License-Identifier: GPL-2.0
# A private apt for each Debian release: own sources, own lists, no installed packages.
# The system's apt is only asked which mirror and proxy it uses. Sourced, never run.
# shellcheck shell=bash

APT_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
APT_DAY_MINUTES=1440

# A group is a release, or RELEASE-ARCHITECTURE for another machine's packages.
apt_arch()
{
	case $1 in
	*-arm64) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

apt_conf()
{
	echo "$VM_CACHE/apt/$1/apt.conf"
}

# The address the system's own sources give for Debian (or its security archive).
apt_mirror()
{
	local kind=$1 default=$2 found

	# shellcheck disable=SC2016 # apt fills these in
	found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
			'Created-By: Packages' 2>/dev/null |
		awk -v kind="$kind" '
			$3 != "main" || $1 !~ /^(https?|file|copy):/ { next }
			$2 ~ /^(bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)(-security)?$/ {
				security = $2 ~ /-security$/
				if (security == (kind == "security")) {
					print $1
					exit
				}
			}')
	echo "${found:-$default}"
}

apt_suites()
{
	case ${1%-arm64} in
	bookworm) echo bookworm bookworm-updates bookworm-security ;;
	trixie) echo trixie trixie-updates trixie-backports trixie-security ;;
	sid) echo sid ;;
	esac
}

apt_write_sources()
{
	local group=$1 main=$2 security=$3 suite url

	for suite in $(apt_suites "$group"); do
		url=$main
		[[ $suite = *-security ]] && url=$security
		echo "deb [arch=$(apt_arch "$group") signed-by=$APT_KEYRING] $url $suite main"
	done >"$VM_CACHE/apt/$group/sources.list"
}

# sid's Release file may be past its date on a mirror that stands still; its signature is
# checked all the same.
apt_write_conf()
{
	local dir=$VM_CACHE/apt/$1 arch

	arch=$(apt_arch "$1")
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >"$dir/status"
	cat >"$(apt_conf "$1")" <<-END
		Dir::State "$dir";
		Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir";
		Dir::Cache::archives "$dir/archives";
		Dir::Cache::pkgcache "pkgcache.bin";
		Dir::Cache::srcpkgcache "";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Sandbox::User "root";
		APT::Get::AllowUnauthenticated "false";
		APT::Install-Recommends "false";
		Acquire::GzipIndexes "true";
		Acquire::Check-Valid-Until "false";
		Acquire::Languages "none";
		Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
		Acquire::Retries "2";
		Acquire::http::Timeout "30";
		Acquire::https::Timeout "30";
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Pre-Install-Pkgs;
	END
}

apt_update_from()
{
	apt_write_sources "$@"
	apt-get -c "$(apt_conf "$1")" update -qq --error-on=any >&2
}

# apt_refresh GROUP: have lists no older than a day; with old lists and no network, the old
# lists. Waits for another process that does the same.
apt_refresh()
{
	local dir=$VM_CACHE/apt/$1 main security public=http://deb.debian.org

	mkdir -p "$dir"
	(
		flock 8
		if [ -n "$(find "$dir/updated" -mmin -$APT_DAY_MINUTES 2>/dev/null)" ]; then
			exit 0
		fi
		apt_write_conf "$1"
		log "reading Debian's package lists ($1)"
		main=$(apt_mirror main $public/debian)
		security=$(apt_mirror security $public/debian-security)
		# A mirror need not have every release; the public one does.
		apt_update_from "$1" "${main%/}" "${security%/}" || {
			[ "${main%/}" != $public/debian ] &&
				apt_update_from "$1" $public/debian $public/debian-security
		} || exit 1
		touch "$dir/updated"
	) 8>"$dir/lock" || [ -e "$dir/updated" ]
}

# apt_releases GROUP REGEX: kernel releases that have an image and headers, highest first.
apt_releases()
{
	local conf names

	conf=$(apt_conf "$1")
	names=$(apt-cache -c "$conf" pkgnames linux-headers-) || return 1
	apt-cache -c "$conf" pkgnames linux-image- | sed -n 's/^linux-image-//p' |
		grep -Ex "$2" | grep -Fxf <(sed -n 's/^linux-headers-//p' <<<"$names") |
		sort -Vr
}

apt_has()
{
	[[ $'\n'$(apt-cache -c "$(apt_conf "$1")" pkgnames "$2")$'\n' = *$'\n'"$2"$'\n'* ]]
}

apt_version()
{
	apt-cache -c "$(apt_conf "$1")" show --no-all-versions "$2" |
		sed -n 's/^Version: //p'
}

# apt_download GROUP DIR PACKAGE...: exactly these packages.
apt_download()
{
	local conf dir=$2

	conf=$(apt_conf "$1")
	shift 2
	mkdir -p "$dir"
	(cd "$dir" && apt-get -c "$conf" -qq -o Debug::NoLocking=1 download "$@" >&2)
}

# apt_download_closure GROUP DIR PACKAGE...: these and all they depend on.
apt_download_closure()
{
	local conf dir=$2

	conf=$(apt_conf "$1")
	shift 2
	mkdir -p "$dir/partial"
	apt-get -c "$conf" -qq -y -o Debug::NoLocking=1 -o Dir::Cache::archives="$dir" \
		install --download-only "$@" >&2
}

# unpack_deb DEB DIR [TAR-ARGUMENT...]
unpack_deb()
{
	local deb=$1 dir=$2

	shift 2
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x -C "$dir" --keep-directory-symlink --no-same-owner \
			--exclude='./usr/share/doc' --exclude='./usr/share/man' \
			--exclude='./usr/share/locale' --exclude='./usr/share/info' "$@"
}
