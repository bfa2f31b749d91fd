#!/usr/bin/env python3
"""WHIP publisher or WHEP viewer on GStreamer's webrtcbin, whose ICE is libnice's.

webrtc-client.py publish|play URL TOKEN
Prints one JSON object a line: {"answered": ADDRESSES of the candidates}, {"ice": STATE} when it changes, {"frames": N} for each decoded frame,
{"error": TEXT} when there is no answer. Ends with its standard input.
"""
import json
import sys
import threading
import urllib.error
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

MODE, URL, TOKEN = sys.argv[1:4]
CAPS = "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000"
PUBLISH = f"videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay ! {CAPS} ! rtc. webrtcbin name=rtc bundle-policy=max-bundle"


def say(**what):
    print(json.dumps(what), flush=True)


class Client:
    def __init__(self):
        if MODE == "publish":
            self.pipeline = Gst.parse_launch(PUBLISH)
            self.rtc = self.pipeline.get_by_name("rtc")
        else:
            self.pipeline = Gst.Pipeline.new()
            self.rtc = Gst.ElementFactory.make("webrtcbin")
            self.rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
            self.pipeline.add(self.rtc)
        self.frames = 0
        self.rtc.connect("notify::ice-connection-state", self.on_ice)
        self.rtc.connect("notify::ice-gathering-state", self.on_gathering)
        self.rtc.connect("on-negotiation-needed", lambda _: self.offer())
        if MODE == "play":
            self.rtc.connect("pad-added", self.on_pad)
            direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            self.rtc.emit("add-transceiver", direction, Gst.Caps.from_string(CAPS))

    def on_ice(self, *_):
        state = self.rtc.get_property("ice-connection-state").value_nick
        say(ice=state)

    def offer(self):
        promise = Gst.Promise.new_with_change_func(self.on_offer, None)
        self.rtc.emit("create-offer", None, promise)

    def on_offer(self, promise, _):
        # The offer lives no longer than the reply, so that stays in hand until it has been taken over.
        promise.wait()
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.rtc.emit("set-local-description", offer, Gst.Promise.new())

    def on_gathering(self, *_):
        if self.rtc.get_property("ice-gathering-state").value_nick == "complete":
            threading.Thread(target=self.exchange, daemon=True).start()

    def exchange(self):
        offer = self.rtc.get_property("local-description").sdp.as_text()
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(URL, offer.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                text = response.read().decode()
        except urllib.error.HTTPError as error:
            say(error=f"{error.code} {error.read().decode()}")
            return
        except OSError as error:
            say(error=str(error))
            return
        say(answered=[line.split()[4] for line in text.splitlines() if line.startswith("a=candidate:")])
        _, message = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.rtc.emit("set-remote-description", answer, Gst.Promise.new())

    def on_pad(self, _, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        decode = Gst.parse_bin_from_description(
            "rtpvp8depay ! vp8dec ! fakesink name=sink signal-handoffs=true sync=false", True
        )
        decode.get_by_name("sink").connect("handoff", self.on_frame)
        self.pipeline.add(decode)
        decode.sync_state_with_parent()
        pad.link(decode.get_static_pad("sink"))

    def on_frame(self, *_):
        self.frames += 1
        say(frames=self.frames)


Gst.init(None)
client = Client()
client.pipeline.set_state(Gst.State.PLAYING)
loop = GLib.MainLoop()
threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
loop.run()
client.pipeline.set_state(Gst.State.NULL)
