# mediasoup's worker: an existing one, else mediasoup's prebuilt one if its checksum is pinned here, else built from its sources. Sourced by main.sh.

worker_sums=$here/worker.sha256

lacks_worker() { :; }

setup_worker() {
	if [[ -n ${MEDIASOUP_WORKER_BIN:-} ]]; then
		[[ -x $MEDIASOUP_WORKER_BIN ]] || die "MEDIASOUP_WORKER_BIN names '$MEDIASOUP_WORKER_BIN', which is not a program. Unset it, or set it to a mediasoup-worker."
		return
	fi
	local package=$root/node_modules/mediasoup version archive sum built downloaded
	version=$(node -p 'require("mediasoup/package.json").version' 2>/dev/null || sed -n 's/^[[:space:]]*"version": *"\([^"]*\)".*/\1/p' "$package/package.json")
	archive=$(worker_archive "$version")
	sum=$(pinned_worker_sum "$archive")
	# Named by its checksum, so that a program that was downloaded unchecked, or under another pin, is not used.
	downloaded=$cache/mediasoup-worker/$version-prebuilt-${sum:0:16}/mediasoup-worker
	built=$("$root/worker/build.sh" --path "$package") || true
	if [[ ! -x $built && ! -x $downloaded ]] && ! download_worker "$version" "$archive" "$sum" "$downloaded"; then
		# shellcheck disable=SC2046 # a list of words
		lacking_packages "building mediasoup's worker" $("$root/worker/build.sh" --packages)
		install_debian_packages
		with_progress "Building mediasoup's worker (once, some minutes)" "$root/worker/build.sh" "$package" ||
			die "mediasoup's worker could not be built; see above. If you have a working mediasoup-worker, set MEDIASOUP_WORKER_BIN to it."
	fi
	MEDIASOUP_WORKER_BIN=$built
	[[ -x $built ]] || MEDIASOUP_WORKER_BIN=$downloaded
	export MEDIASOUP_WORKER_BIN
}

# The archive's name in mediasoup's releases, as getWorkerPrebuildTarName in its npm-scripts.mjs makes it.
worker_archive() {
	local arch kernel
	arch=$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
	kernel=$(uname -r)
	printf 'mediasoup-worker-%s-linux-%s-kernel%s.tgz\n' "$1" "$arch" "${kernel%%.*}"
}

# Empty if none is pinned.
pinned_worker_sum() { awk -v archive="$1" '$1 !~ /^#/ && $2 == archive { print $1 }' "$worker_sums"; }

# Does not run mediasoup's own install step, which starts what it has downloaded before anybody can check it.
# Fails if there is no prebuilt worker for this machine; an archive with another checksum than the pinned one ends the setup.
download_worker() {
	local version=$1 archive=$2 sum=$3 target=$4 folder actual status=0
	if [[ -z $sum ]]; then
		say "Building mediasoup's worker from its sources: ${worker_sums#"$root/"} has no checksum of $archive"
		return 1
	fi
	local url=${MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL:-https://github.com/versatica/mediasoup/releases/download}/$version/$archive
	say "Downloading mediasoup's worker ..."
	folder=$(mktemp -d "${TMPDIR:-/tmp}/millrace-worker.XXXXXXXX")
	if ! fetch_file "$url" "$folder/$archive"; then
		rm -rf "$folder"
		say "Downloading mediasoup's worker: failed; building it from its sources"
		return 1
	fi
	actual=$(sha256sum <"$folder/$archive")
	actual=${actual%% *}
	if [[ $actual != "$sum" ]]; then
		rm -rf "$folder"
		die "$archive from $url is not the file whose checksum is pinned, and was deleted. Expected SHA-256 $sum (${worker_sums#"$root/"}), got $actual. Download it from another place (MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL), or build the worker from its sources (worker/build.sh node_modules/mediasoup) and run this again."
	fi
	tar -xzf "$folder/$archive" -C "$folder" mediasoup-worker
	chmod 755 "$folder/mediasoup-worker"
	# Without MEDIASOUP_VERSION a worker ends with status 41, unless it was built for another libc and does not start.
	env -i "$folder/mediasoup-worker" >/dev/null 2>&1 || status=$?
	if [[ $status -eq 41 ]]; then
		mkdir -p "${target%/*}"
		cp "$folder/mediasoup-worker" "$target.$$"
		mv -f "$target.$$" "$target"
	else
		say "mediasoup's prebuilt worker does not start on this system; building it from its sources"
	fi
	rm -rf "$folder"
	[[ $status -eq 41 ]]
}

# fetch_file URL PATH. With Node, which is there by now: not every system has curl or wget.
fetch_file() {
	timeout "${MILLRACE_DOWNLOAD_TIMEOUT:-60}" node --input-type=module -e '
		import { writeFileSync } from "node:fs";
		const [url, path] = process.argv.slice(1);
		const answer = await fetch(url);
		if (!answer.ok) process.exit(1);
		writeFileSync(path, Buffer.from(await answer.arrayBuffer()));
	' "$1" "$2" 2>/dev/null
}
