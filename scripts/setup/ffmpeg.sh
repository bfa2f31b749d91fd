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

fetch_ffmpeg() {
	local version
	case $ffmpeg_package in
	*linux-x64) version=4.1.0 ;;
	*linux-arm64) version=4.1.4 ;;
	*) return 1 ;;
	esac
	local binary=$ffmpeg_folder/node_modules/$ffmpeg_package/ffmpeg
	mkdir -p "$ffmpeg_folder" &&
		npm install --prefix "$ffmpeg_folder" --ignore-scripts --no-save --no-audit --no-fund --loglevel=error "$ffmpeg_package@$version" &&
		chmod +x "$binary" &&
		"$binary" -version &&
		ln -sfn "$binary" "$ffmpeg_folder/ffmpeg"
}
