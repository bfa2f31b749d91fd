# A Chromium for the tests with a real browser: MILLRACE_CHROMIUM, the system's, Debian's, else Playwright's download. Sourced by main.sh.

find_chromium() {
	local name
	for name in chromium chromium-browser google-chrome google-chrome-stable; do
		# Ubuntu's package is an empty shell around a snap: only what answers counts.
		if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
			command -v "$name"
			return
		fi
	done
	compgen -G "$cache/chromium/chromium-*/chrome-linux*/chrome" | tail -n 1 || true
}

lacks_chromium() {
	[[ -n ${MILLRACE_CHROMIUM:-} || -n $(find_chromium) ]] && return
	if can_install_debian_packages && grep -q '^ID=debian' /etc/os-release; then lacking_packages "the browser tests" chromium; fi
}

setup_chromium() {
	[[ -n ${MILLRACE_CHROMIUM:-} ]] || MILLRACE_CHROMIUM=$(find_chromium)
	if [[ -z $MILLRACE_CHROMIUM ]]; then
		PLAYWRIGHT_BROWSERS_PATH=$cache/chromium PROGRESS_TAIL=3 with_progress "Downloading Chromium" playwright-core install chromium || true
		MILLRACE_CHROMIUM=$(find_chromium)
	fi
	[[ -x $MILLRACE_CHROMIUM ]] ||
		die "the browser tests need Chromium. Install it (Debian: apt-get install chromium) or set MILLRACE_CHROMIUM to a Chrome or Chromium program."
	export MILLRACE_CHROMIUM
}
