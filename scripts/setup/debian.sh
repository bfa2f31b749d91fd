# Debian packages, all installed in one step. Sourced by main.sh.

missing_debian_packages=()
missing_for=()

# lacking_packages WHAT PACKAGE...: records those that are not installed.
lacking_packages() {
	local what=$1 name any=
	shift
	for name in "$@"; do
		[[ $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) == *' installed' ]] && continue
		missing_debian_packages+=("$name")
		any=1
	done
	[[ -z $any ]] || missing_for+=("$what")
}

is_root() { [[ $(id -u) -eq 0 ]]; }

can_install_debian_packages() { is_root && command -v apt-get >/dev/null; }

install_debian_packages() {
	[[ ${#missing_debian_packages[@]} -gt 0 ]] || return 0
	local names=("${missing_debian_packages[@]}") what
	what=$(printf '%s, ' "${missing_for[@]}")
	missing_debian_packages=()
	missing_for=()
	command -v apt-get >/dev/null ||
		die "missing for ${what%, }: ${names[*]} (names as on Debian). This system has no apt-get; install the corresponding packages and run the command again."
	is_root ||
		die "missing for ${what%, }, and only root can install it. Run this once, then repeat your command:
  sudo apt-get update && sudo apt-get install --no-install-recommends ${names[*]}"
	with_progress "Installing for ${what%, }: ${names[*]}" apt_install "${names[@]}" ||
		die "apt-get could not install ${names[*]}. With network, run: apt-get update && apt-get install ${names[*]}"
}

apt_install() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q -o DPkg::Lock::Timeout=300 update
	apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}
