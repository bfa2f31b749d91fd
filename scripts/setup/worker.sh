# mediasoup's worker: an existing one, else downloaded by mediasoup's own install step, else built from its sources. Sourced by main.sh.

lacks_worker() { :; }

setup_worker() {
	if [[ -n ${MEDIASOUP_WORKER_BIN:-} ]]; then
		[[ -x $MEDIASOUP_WORKER_BIN ]] || die "MEDIASOUP_WORKER_BIN names '$MEDIASOUP_WORKER_BIN', which is not a program. Unset it, or set it to a mediasoup-worker."
		return
	fi
	local package=$root/node_modules/mediasoup version built downloaded
	version=$(node -p 'require("mediasoup/package.json").version' 2>/dev/null || sed -n 's/^[[:space:]]*"version": *"\([^"]*\)".*/\1/p' "$package/package.json")
	downloaded=$cache/mediasoup-worker/$version-prebuilt-$(uname -m)/mediasoup-worker
	built=$("$root/worker/build.sh" --path "$package") || true
	if [[ ! -x $built && ! -x $downloaded ]] && ! download_worker "$package" "$downloaded"; then
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

# The install step would continue with a build and further downloads: a failing PYTHON prevents that.
# The step tests its download (a worker for another libc does not start), so a worker that exists afterwards runs here.
download_worker() {
	local package=$1 target=$2 result=$1/worker/out/Release/mediasoup-worker
	say "Downloading mediasoup's worker ..."
	(cd "$package" && PYTHON=false timeout "${MILLRACE_DOWNLOAD_TIMEOUT:-60}" node npm-scripts.mjs postinstall) >/dev/null 2>&1 || true
	if [[ ! -x $result ]]; then
		say "Downloading mediasoup's worker: failed; building it from its sources"
		return 1
	fi
	mkdir -p "${target%/*}"
	cp "$result" "$target.$$"
	mv -f "$target.$$" "$target"
}
