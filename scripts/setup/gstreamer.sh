# GStreamer's webrtcbin on libnice, controlled from Python: a WebRTC client that is not made by a browser vendor. Sourced by main.sh.

lacks_gstreamer() {
	lacking_packages GStreamer gstreamer1.0-tools gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
		python3-gst-1.0 gir1.2-gst-plugins-bad-1.0
}

# Debian's own Python finds Debian's modules; another Python first in PATH may not.
setup_gstreamer() { export MILLRACE_GSTREAMER_PYTHON=/usr/bin/python3; }
