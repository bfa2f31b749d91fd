import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpPacket } from 'werift';
import type { PlacementResponse } from '@millrace/api';
import type { Clip } from '@millrace/testkit/media';
import { ClipSender, PAYLOAD_TYPE } from '@millrace/testkit/media';
import type { ClipPublisher } from '@millrace/testkit/media';
import { Arrivals, type Account } from './arrivals.ts';

/** WebRTC peers on an independent stack (werift), which uses less CPU than a browser and does not depend on mediasoup. */

const SSRC = 0x6d720b03;

/** Publishes the clip by WHIP (RFC 9725). */
export async function publishByWhip(place: PlacementResponse, clip: Clip): Promise<ClipPublisher> {
  const pc = newPeer();
  const track = new MediaStreamTrack({ kind: 'video' });
  const { sender: rtp } = pc.addTransceiver(track, { direction: 'sendonly' });
  const location = await negotiate(pc, place);
  await connected(pc);
  const send = (packet: Buffer): void => {
    if (pc.connectionState === 'connected') track.writeRtp(RtpPacket.deSerialize(packet));
  };
  const sender = new ClipSender({ clip, ssrc: SSRC, send });
  rtp.onPictureLossIndication.subscribe(() => sender.keyframe());
  return {
    sender,
    stop: async () => {
      sender.stop();
      await leave(pc, location);
    },
  };
}

export interface WebRtcViewer {
  account(): Account;
  isSilentSince(atMs: number): boolean;
  stop(): Promise<void>;
}

/** Plays by WHEP, video only. */
export async function openWhepViewer(place: PlacementResponse): Promise<WebRtcViewer> {
  const pc = newPeer();
  const arrivals = new Arrivals();
  pc.onTrack.subscribe((track) =>
    track.onReceiveRtp.subscribe(({ header }) => arrivals.packet(header.sequenceNumber, performance.now())),
  );
  pc.addTransceiver('video', { direction: 'recvonly' });
  const location = await negotiate(pc, place);
  await connected(pc);
  return {
    account: () => arrivals.account(),
    isSilentSince: (atMs) => arrivals.isSilentSince(atMs),
    stop: () => leave(pc, location),
  };
}

function newPeer(): RTCPeerConnection {
  const rtcpFeedback = [
    { type: 'nack', parameter: '' },
    { type: 'nack', parameter: 'pli' },
  ];
  const h264 = new RTCRtpCodecParameters({
    mimeType: 'video/H264',
    clockRate: 90_000,
    payloadType: PAYLOAD_TYPE,
    parameters: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
    rtcpFeedback,
  });
  return new RTCPeerConnection({
    bundlePolicy: 'max-bundle',
    iceAdditionalHostAddresses: ['127.0.0.1'],
    codecs: { audio: [], video: [h264] },
  });
}

/** Sends the offer, applies the answer and returns the session's URL. @throws Error with the node's answer */
async function negotiate(pc: RTCPeerConnection, { url, token }: PlacementResponse): Promise<string> {
  await pc.setLocalDescription(await pc.createOffer());
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` },
    body: pc.localDescription!.sdp,
    signal: AbortSignal.timeout(15_000),
  });
  const answer = await response.text();
  if (response.status !== 201) {
    await pc.close();
    throw new Error(`${url} answers ${response.status}: ${answer}`);
  }
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  return new URL(response.headers.get('location')!, url).href;
}

async function connected(pc: RTCPeerConnection): Promise<void> {
  for (const until = performance.now() + 15_000; pc.connectionState !== 'connected';) {
    if (performance.now() > until) throw new Error(`WebRTC is ${pc.connectionState} after 15 s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function leave(pc: RTCPeerConnection, location: string): Promise<void> {
  await fetch(location, { method: 'DELETE', signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
  await pc.close();
}
