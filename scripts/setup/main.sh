#!/usr/bin/env bash
# Makes sure that what a command needs is installed, then runs it.
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
	die "cannot write to $cache, where what is installed once is kept. Make it writable, or name another folder: XDG_CACHE_HOME=/a/folder make ..."
# What Node made of the sources at an earlier start is used again: half of the CPU time that a process takes to start.
export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$cache/node-compile}
# Every need first says which Debian packages it lacks, so that they are installed, or asked for, all at once.
for need in "${needs[@]}"; do "lacks_$need"; done
install_debian_packages
for need in "${needs[@]}"; do "setup_$need"; done
exec "$@"
