# The npm packages of this repository, Node 24 among them. Sourced by main.sh.

lacks_node() { :; }

setup_node() {
	command -v node >/dev/null && command -v npm >/dev/null ||
		die "Node.js (20 or newer) and npm are missing. Install them, for example: apt-get install nodejs npm"
	local major
	major=$(node -p 'process.versions.node.split(".")[0]')
	[[ $major -ge 20 ]] || die "Node.js $(node -v) is too old: 20 or newer is needed to install the packages (Node 24 then comes with them)."

	local stamp=node_modules/.millrace-lock lock
	lock=$(sha256sum <package-lock.json)
	if [[ $(cat "$stamp" 2>/dev/null) != "$lock" ]]; then
		exec 8>"$cache/npm.lock"
		flock 8
		if ! node scripts/setup/installed-packages.mjs; then
			with_progress "Installing npm packages" install_npm_packages ||
				die "npm could not install the packages. Check the network or the registry that npm is set to (npm config get registry), then run it again."
		fi
		link_node
		printf '%s\n' "$lock" >"$stamp"
		exec 8>&-
	fi
	export PATH=$root/node_modules/.bin:$PATH
	hash -r
	[[ $(node -p 'process.versions.node.split(".")[0]') -ge 24 ]] ||
		die "Node 24 did not come with the packages: there is none for $(uname -sm). Put a node of version 24 or newer first in PATH and into node_modules/.bin."
}

# npm 10 omits the link to a program called `node`; npm 11 creates it.
link_node() {
	local program
	for program in node_modules/node-linux-*/bin/node; do
		[[ ! -x $program || -e node_modules/.bin/node ]] || ln -s "../${program#node_modules/}" node_modules/.bin/node
	done
}

# No dependency needs its install script: Node is a package for each platform, and setup_worker provides mediasoup's worker.
install_npm_packages() { npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; }
