#!/usr/bin/env bash
# Builds mediasoup's worker from the sources in its npm package; README.md beside this file says how and why.
# Usage: build.sh PACKAGE_FOLDER | --path PACKAGE_FOLDER | --packages
# stdout: the path of the binary (--path: where it would be; exit status 1 when it is not there yet). Messages go to stderr.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
debian_packages=(g++ binutils patch pkg-config meson ninja-build xz-utils
	libuv1-dev libssl-dev libsrtp2-dev libabsl-dev libflatbuffers-dev flatbuffers-compiler)

say() { printf 'worker: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

version_of() {
	[[ -f $1/worker/meson.build ]] || die "no mediasoup package in '$1'; run npm ci first"
	sed -n 's/^[[:space:]]*"version": *"\([0-9][^"]*\)".*/\1/p' "$1/package.json" | head -n 1
}

# Everything but the sources that decides what comes out: this folder, the processor, the system that it is linked against.
recipe_hash() {
	{
		cd "$recipe"
		find build.sh subprojects patches -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
		uname -m
		grep -E '^(ID|VERSION_ID)=' /etc/os-release
	} | sha256sum | cut -c 1-16
}

# Fails with one message that names every missing Debian package.
require_tools() {
	local missing=() pair
	for pair in g++:g++ strip:binutils patch:patch meson:meson ninja:ninja-build flatc:flatbuffers-compiler pkg-config:pkg-config xz:xz-utils; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	for pair in libuv:libuv1-dev openssl:libssl-dev libsrtp2:libsrtp2-dev absl_strings:libabsl-dev flatbuffers:libflatbuffers-dev; do
		pkg-config --exists "${pair%%:*}" 2>/dev/null || missing+=("${pair#*:}")
	done
	[[ ${#missing[@]} -eq 0 ]] || die "the build needs Debian packages; install them with: apt-get install ${missing[*]}"
}

# libsrtp 2 with OpenSSL, static, from the system's own package sources (kept apart from the system's lists, so no root is needed).
build_libsrtp() {
	local dir=$1 file
	mkdir -p "$dir"/{lists/partial,archives/partial,sources.d,source}
	find /etc/apt -maxdepth 2 -name '*.list' -exec sed -n 's/^deb /deb-src /p' {} + >"$dir/sources.list"
	for file in /etc/apt/sources.list.d/*.sources; do
		[[ ! -f $file ]] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$dir/sources.d/${file##*/}"
	done
	local apt=(apt-get -q -o "Dir::Etc::sourcelist=$dir/sources.list" -o "Dir::Etc::sourceparts=$dir/sources.d"
		-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir" -o "Dir::Cache::archives=archives")
	"${apt[@]}" update &&
		(cd "$dir/source" && "${apt[@]}" source --download-only libsrtp2) &&
		tar -xf "$dir"/source/libsrtp2_*.orig.tar.* -C "$dir/source" --strip-components=1 &&
		meson setup "$dir/out" "$dir/source" --buildtype release --prefix "$dir/prefix" --libdir lib \
			-Ddefault_library=static -Dcrypto-library=openssl -Dtests=disabled &&
		ninja -C "$dir/out" install
}

# A copy of the worker's sources that is ready for meson; the package in node_modules stays as it is.
prepare_sources() {
	local package=$1 sources=$2 change
	cp -R "$package/worker" "$sources"
	rm -rf "$sources/subprojects"
	cp -R "$recipe/subprojects" "$sources/subprojects"
	for change in "$recipe"/patches/*.patch; do
		patch -p1 --silent --forward --fuzz=0 -d "$sources" <"$change" >&2 ||
			die "${change##*/} does not apply to this mediasoup; read why it is there and adapt or drop it"
	done
	# Debian 12 has meson 1.0.1, which is enough for what this build uses.
	sed -i "s/meson_version: *'>= *1\.[0-9.]*'/meson_version: '>= 1.0'/" "$sources/meson.build"
}

compile() {
	local sources=$1 out=$2 log=$3
	{
		meson setup "$out" "$sources" --buildtype release -Db_ndebug=true -Db_pie=true --wrap-mode nodownload &&
			# The parts of libwebrtc include these headers but do not say that they depend on them: they may be compiled first.
			meson compile -C "$out" flatbuffers-generator &&
			ninja -C "$out" ${JOBS:+-j "$JOBS"} mediasoup-worker
	} 2>&1 | tee "$log" >&2 || die "the build failed; the whole log is in $log"
	strip "$out/mediasoup-worker"
}

# A worker without MEDIASOUP_VERSION ends with status 41: it loads and runs here.
starts_here() {
	local status=0
	env -i "$1" >/dev/null 2>&1 || status=$?
	[[ $status -eq 41 ]]
}

build() {
	local package=$1 binary=$2 work
	require_tools
	mkdir -p "${binary%/*}"
	work=$(mktemp -d "${binary%/*}/build.XXXXXXXX")
	# shellcheck disable=SC2064 # the value of now is meant
	trap "rm -rf '$work'" EXIT
	if build_libsrtp "$work/libsrtp" >"$work/libsrtp.log" 2>&1; then
		export PKG_CONFIG_PATH=$work/libsrtp/prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
	else
		say "libsrtp2's source package is out of reach; going on with the system's libsrtp, whose SRTP is slow"
	fi
	prepare_sources "$package" "$work/worker"
	compile "$work/worker" "$work/out" "${binary%/*}/build.log"
	starts_here "$work/out/mediasoup-worker" || die "the built worker does not start here"
	# Renaming is atomic: whoever looks sees the whole binary or none.
	mv -f "$work/out/mediasoup-worker" "$binary"
}

case ${1-} in
--packages) printf '%s\n' "${debian_packages[*]}" ;;
--path | [!-]*)
	package=${*: -1}
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/mediasoup-worker
	binary=$cache/$(version_of "$package")-$(recipe_hash)/mediasoup-worker
	if [[ $1 == --path ]]; then
		printf '%s\n' "$binary"
		[[ -x $binary ]]
		exit
	fi
	mkdir -p "$cache"
	# Two at once: the second waits and finds the binary.
	exec 9>"$cache/lock"
	flock 9
	[[ -x $binary ]] || build "$package" "$binary"
	printf '%s\n' "$binary"
	;;
*) die "usage: build.sh PACKAGE_FOLDER | --path PACKAGE_FOLDER | --packages" ;;
esac
