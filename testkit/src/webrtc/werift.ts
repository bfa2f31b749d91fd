import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift';

/** Peers on an independent WebRTC stack (no libwebrtc, no mediasoup). They send synthetic VP8 and Opus, and count what they receive. */

/** The payload types that the peer uses, because they differ between browsers; default 109 and 118. */
export interface PeerNumbers {
  audio: number;
  video: number;
}

interface PeerOptions {
  numbers?: PeerNumbers;
  /** Addresses for its candidates, besides those of the machine's interfaces; default 127.0.0.1. */
  addresses?: string[];
}

function newPeer({ numbers = { audio: 109, video: 118 }, addresses = ['127.0.0.1'] }: PeerOptions = {}): RTCPeerConnection {
  const feedback = [
    { type: 'nack', parameter: '' },
    { type: 'nack', parameter: 'pli' },
    { type: 'ccm', parameter: 'fir' },
  ];
  return new RTCPeerConnection({
    bundlePolicy: 'max-bundle',
    iceAdditionalHostAddresses: addresses,
    codecs: {
      audio: [new RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48000, channels: 2, payloadType: numbers.audio })],
      video: [
        new RTCRtpCodecParameters({
          mimeType: 'video/VP8',
          clockRate: 90000,
          payloadType: numbers.video,
          rtcpFeedback: feedback,
        }),
      ],
    },
  });
}

export interface Publisher {
  pc: RTCPeerConnection;
  offer: string;
  accept(answer: string): Promise<void>;
  /** The numbers of frames sent and of keyframe requests received. */
  sent: { video: number; keyframes: number; audio: number };
  close(): Promise<void>;
}

const FRAME_MS = 33;

/** Sends 30 frames per second of one packet each, with a keyframe on request and every 3 s. */
export async function newPublisher(options: { videoFirst?: boolean; addresses?: string[] } = {}): Promise<Publisher> {
  const pc = newPeer(options);
  const video = new MediaStreamTrack({ kind: 'video' });
  const audio = new MediaStreamTrack({ kind: 'audio' });
  if (!options.videoFirst) pc.addTransceiver(audio, { direction: 'sendonly' });
  const transceiver = pc.addTransceiver(video, { direction: 'sendonly' });
  if (options.videoFirst) pc.addTransceiver(audio, { direction: 'sendonly' });
  await pc.setLocalDescription(await pc.createOffer());
  const sent = { video: 0, keyframes: 0, audio: 0 };
  let wanted = true;
  transceiver.sender.onPictureLossIndication.subscribe(() => (wanted = true));
  const timer = setInterval(() => {
    if (pc.connectionState !== 'connected') return;
    const keyframe = wanted || sent.video % 90 === 0;
    wanted = false;
    video.writeRtp(packet(118, sent.video & 0xffff, sent.video * 3000, true, vp8Frame(keyframe)));
    audio.writeRtp(packet(109, sent.audio & 0xffff, sent.audio * 1584, false, Buffer.alloc(60, 0x78)));
    sent.video += 1;
    sent.audio += 1;
    if (keyframe) sent.keyframes += 1;
  }, FRAME_MS);
  return {
    pc,
    offer: pc.localDescription!.sdp,
    accept: (answer) => pc.setRemoteDescription({ type: 'answer', sdp: answer }),
    sent,
    async close() {
      clearInterval(timer);
      await pc.close();
    },
  };
}

export interface Player {
  pc: RTCPeerConnection;
  /** The player's own offer, unless it answers one. */
  offer: string;
  accept(answer: string): Promise<void>;
  received: {
    video: number;
    audio: number;
    keyframes: number;
    ssrcs: Set<number>;
    payloadTypes: Set<number>;
    lastSequence: number;
  };
  close(): Promise<void>;
}

/** A viewer that sends an offer, or with `offer` answers that one. */
export async function newPlayer(
  offer?: string,
  options: PeerOptions & { videoFirst?: boolean } = {},
): Promise<Player & { answer: string }> {
  const pc = newPeer(options);
  const received = {
    video: 0,
    audio: 0,
    keyframes: 0,
    ssrcs: new Set<number>(),
    payloadTypes: new Set<number>(),
    lastSequence: -1,
  };
  pc.onTrack.subscribe((track) => {
    track.onReceiveRtp.subscribe((rtp) => {
      received[track.kind as 'video' | 'audio'] += 1;
      received.payloadTypes.add(rtp.header.payloadType);
      if (track.kind !== 'video') return;
      received.ssrcs.add(rtp.header.ssrc);
      received.lastSequence = rtp.header.sequenceNumber;
      if (isVp8Keyframe(rtp.payload)) received.keyframes += 1;
    });
  });
  let answer = '';
  if (offer === undefined) {
    const kinds = options.videoFirst ? (['video', 'audio'] as const) : (['audio', 'video'] as const);
    for (const kind of kinds) pc.addTransceiver(kind, { direction: 'recvonly' });
    await pc.setLocalDescription(await pc.createOffer());
  } else {
    await pc.setRemoteDescription({ type: 'offer', sdp: offer });
    await pc.setLocalDescription(await pc.createAnswer());
    answer = pc.localDescription!.sdp;
  }
  return {
    pc,
    offer: offer === undefined ? pc.localDescription!.sdp : '',
    answer,
    accept: (text) => pc.setRemoteDescription({ type: 'answer', sdp: text }),
    received,
    close: () => pc.close(),
  };
}

function packet(payloadType: number, sequenceNumber: number, timestamp: number, marker: boolean, payload: Buffer): RtpPacket {
  return new RtpPacket(new RtpHeader({ payloadType, sequenceNumber, timestamp: timestamp >>> 0, marker }), payload);
}

/** RFC 7741: payload descriptor (start of partition), then the frame header of RFC 6386 section 9.1. */
export function vp8Frame(keyframe: boolean): Buffer {
  const header = keyframe ? [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00] : [0x10, 0x11, 0x02, 0x00];
  return Buffer.concat([Buffer.from(header), Buffer.alloc(400, 0x55)]);
}

/** The worker may have extended the payload descriptor, for example by a picture id (RFC 7741 section 4.2). */
function isVp8Keyframe(payload: Buffer): boolean {
  let at = 1;
  if (payload[0]! & 0x80) {
    const extension = payload[at++]!;
    if (extension & 0x80) at += payload[at]! & 0x80 ? 2 : 1;
    if (extension & 0x40) at += 1;
    if (extension & 0x30) at += 1;
  }
  return (payload[0]! & 0x10) !== 0 && (payload[at]! & 0x01) === 0;
}
