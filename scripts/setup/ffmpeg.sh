# FFmpeg: the system's, else Debian's, else (without root) a static program from an npm package. It is executed, never linked. Sourced by main.sh.

ffmpeg_package=@ffmpeg-installer/linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
ffmpeg_folder=$cache/ffmpeg

lacks_ffmpeg() {
	command -v ffmpeg >/dev/null || [[ -x $ffmpeg_folder/ffmpeg ]] || ! can_install_debian_packages || lacking_packages FFmpeg ffmpeg fonts-dejavu-core
}

setup_ffmpeg() {
	command -v ffmpeg >/dev/null && return
	if [[ ! -x $ffmpeg_folder/ffmpeg ]]; then
		with_progress "Fetching FFmpeg from the npm registry" fetch_ffmpeg ||
			die "FFmpeg is missing and could not be fetched. Install it as root: apt-get install ffmpeg"
	fi
	export PATH=$ffmpeg_folder:$PATH
}

# The lock file makes npm compare the package with the checksum here before it unpacks it. A registry that serves another one ends with EINTEGRITY.
fetch_ffmpeg() {
	local version integrity
	case $ffmpeg_package in
	*linux-x64) version=4.1.0 integrity=sha512-Y5BWhGLU/WpQjOArNIgXD3z5mxxdV8c41C+U15nsE5yF8tVcdCGet5zPs5Zy3Ta6bU7haGpIzryutqCGQA/W8A== ;;
	*linux-arm64) version=4.1.4 integrity=sha512-dljEqAOD0oIM6O6DxBW9US/FkvqvQwgJ2lGHOwHDDwu/pX8+V0YsDL1xqHbj1DMX/+nP9rxw7G7gcUvGspSoKg== ;;
	*) return 1 ;;
	esac
	local binary=$ffmpeg_folder/node_modules/$ffmpeg_package/ffmpeg
	mkdir -p "$ffmpeg_folder" &&
		printf '{"private": true, "dependencies": {"%s": "%s"}}\n' "$ffmpeg_package" "$version" >"$ffmpeg_folder/package.json" &&
		printf '{"lockfileVersion": 3, "packages": {"": {"dependencies": {"%s": "%s"}}, "node_modules/%s": {"version": "%s", "integrity": "%s"}}}\n' \
			"$ffmpeg_package" "$version" "$ffmpeg_package" "$version" "$integrity" >"$ffmpeg_folder/package-lock.json" &&
		npm ci --prefix "$ffmpeg_folder" --ignore-scripts --no-audit --no-fund --loglevel=error &&
		chmod +x "$binary" &&
		"$binary" -version &&
		ln -sfn "$binary" "$ffmpeg_folder/ffmpeg"
}
