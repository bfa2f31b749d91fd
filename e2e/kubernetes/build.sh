#!/usr/bin/env bash
# Builds the programs of a Kubernetes control plane as go.mod pins them.
# Usage: build.sh | build.sh --path
# Prints the folder of the programs (--path: the folder where they would be; exit status 1 when they are not there yet).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' go.mod)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kubernetes
folder=$cache/$version-$(cat go.mod go.sum build.sh cmd/etcd/main.go | sha256sum | cut -c 1-16)
programs=(etcd kubectl kube-apiserver kube-controller-manager)

complete() {
	local program
	for program in "${programs[@]}"; do [[ -x $folder/$program ]] || return 1; done
}

# Go writes a program in place; the rename makes it visible only once it is complete.
build_program() {
	local package=k8s.io/kubernetes/cmd/$1
	[[ $1 != etcd ]] || package=./cmd/etcd
	printf 'building %s\n' "$1" >&2
	local minor=${version#v1.}
	local release="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1"
	release+=" -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
	CGO_ENABLED=0 GOTOOLCHAIN=auto GOWORK=off go build -trimpath -ldflags "-s -w $release" -o "$folder/.$1" "$package"
	mv -f "$folder/.$1" "$folder/$1"
}

printf '%s\n' "$folder"
if [[ ${1-} == --path ]]; then
	complete
	exit
fi
mkdir -p "$folder"
# When two builds start at once, the second waits and finds the programs.
exec 9>"$cache/lock"
flock 9
for program in "${programs[@]}"; do [[ -x $folder/$program ]] || build_program "$program"; done
