# Chromium and Firefox for the tests with real browsers: MILLRACE_CHROMIUM and MILLRACE_FIREFOX, else the system's or Debian's, else a download
# from their vendors. Sourced by main.sh.

# first_that_answers NAME...: the path of the first of these programs that runs. Ubuntu's packages are only wrappers around snaps.
first_that_answers() {
	local name
	for name in "$@"; do
		if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
			command -v "$name"
			return
		fi
	done
	return 1
}

is_debian() { grep -q '^ID=debian' /etc/os-release; }

find_chromium() {
	first_that_answers chromium chromium-browser google-chrome google-chrome-stable ||
		compgen -G "$cache/browsers/chrome/*/chrome-linux*/chrome" | tail -n 1 || true
}

find_firefox() {
	first_that_answers firefox-esr firefox || compgen -G "$cache/browsers/firefox/*/firefox/firefox" | tail -n 1 || true
}

lacks_chromium() {
	[[ -n ${MILLRACE_CHROMIUM:-} || -n $(find_chromium) ]] && return
	if can_install_debian_packages && is_debian; then lacking_packages "the tests with Chromium" chromium; fi
}

lacks_firefox() {
	[[ -n ${MILLRACE_FIREFOX:-} || -n $(find_firefox) ]] && return
	if can_install_debian_packages && is_debian; then lacking_packages "the tests with Firefox" firefox-esr; fi
}

# @puppeteer/browsers comes with puppeteer-core. Chrome's archive needs unzip.
download_browser() { browsers install "$1" --path "$cache/browsers"; }

setup_chromium() {
	[[ -n ${MILLRACE_CHROMIUM:-} ]] || MILLRACE_CHROMIUM=$(find_chromium)
	if [[ -z $MILLRACE_CHROMIUM ]]; then
		PROGRESS_TAIL=3 with_progress "Downloading Chrome" download_browser chrome@stable || true
		MILLRACE_CHROMIUM=$(find_chromium)
	fi
	[[ -x $MILLRACE_CHROMIUM ]] ||
		die "the browser tests need Chromium. Install it (Debian: apt-get install chromium) or set MILLRACE_CHROMIUM to a Chrome or Chromium program."
	export MILLRACE_CHROMIUM
}

setup_firefox() {
	[[ -n ${MILLRACE_FIREFOX:-} ]] || MILLRACE_FIREFOX=$(find_firefox)
	if [[ -z $MILLRACE_FIREFOX ]]; then
		PROGRESS_TAIL=3 with_progress "Downloading Firefox" download_browser firefox@esr || true
		MILLRACE_FIREFOX=$(find_firefox)
	fi
	[[ -x $MILLRACE_FIREFOX ]] ||
		die "the browser tests need Firefox. Install it (Debian: apt-get install firefox-esr) or set MILLRACE_FIREFOX to a Firefox program, version 140 or newer."
	export MILLRACE_FIREFOX
}
