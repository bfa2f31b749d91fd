# The programs of a real Kubernetes control plane, built from Go modules. Sourced by main.sh.

# Any Go since 1.21 downloads the release that the module requires.
has_go() { command -v go >/dev/null && [[ $(go env GOVERSION | sed 's/^go1\.//; s/[^0-9].*//') -ge 21 ]]; }

lacks_kubernetes() {
	"$root/e2e/kubernetes/build.sh" --path >/dev/null || has_go || ! can_install_debian_packages || lacking_packages "building Kubernetes for the tests" golang-go
}

setup_kubernetes() {
	local folder
	if ! folder=$("$root/e2e/kubernetes/build.sh" --path); then
		has_go || die "the tests on a real Kubernetes need Go 1.21 or newer to build it, and this system's packages have none. Install one, put it in PATH and run it again."
		with_progress "Building Kubernetes for the tests (once, about 8 minutes on 2 cores)" "$root/e2e/kubernetes/build.sh" ||
			die "Kubernetes could not be built; see above. The build fetches Go modules: check the network or GOPROXY."
	fi
	export MILLRACE_KUBERNETES_BIN=$folder
}
