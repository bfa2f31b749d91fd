#!/usr/bin/env bash
# Installs what a command needs, then runs it.
# Usage: main.sh NEED... -- COMMAND [ARGUMENT...]
# NEED: node (npm packages, Node 24), worker (mediasoup's), ffmpeg, redis, chromium, firefox, gstreamer, kubernetes (its programs, for the tests on a real API server).
# The command gets Node 24 as `node` and finds what was installed through PATH, MEDIASOUP_WORKER_BIN, MILLRACE_CHROMIUM, MILLRACE_FIREFOX,
# MILLRACE_GSTREAMER_PYTHON and MILLRACE_KUBERNETES_BIN.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace

for part in say debian node worker ffmpeg redis browsers gstreamer kubernetes; do
	# shellcheck source=/dev/null
	source "$here/$part.sh"
done

needs=()
while [[ $# -gt 0 && $1 != -- ]]; do
	needs+=("$1")
	shift
done
[[ ${1-} == -- && $# -gt 1 ]] || die "usage: main.sh NEED... -- COMMAND [ARGUMENT...]"
shift

cd "$root"
mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] ||
	die "cannot write to $cache, which stores what is installed once. Make it writable, or name another folder: XDG_CACHE_HOME=/a/folder make ..."
# Reuses the code that Node compiled at earlier starts, which saves half of the CPU time of a start.
export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$cache/node-compile}
# Every need first records the Debian packages that it lacks, so that they are installed, or requested, in one step.
for need in "${needs[@]}"; do "lacks_$need"; done
install_debian_packages
for need in "${needs[@]}"; do "setup_$need"; done
exec "$@"
