import type { types } from 'mediasoup';

export interface HeaderExtension {
  uri: string;
  id: number;
}

const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const RID = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
const REPAIRED_RID = 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id';
const ABS_SEND_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time';
const TRANSPORT_CC = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
const AUDIO_LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
const DEPENDENCY_DESCRIPTOR = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';
const ORIENTATION = 'urn:3gpp:video-orientation';
const ABS_CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';
const PLAYOUT_DELAY = 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay';

/**
 * The worker writes extensions under ids of its own, whatever was negotiated (mediasoup issue 1126), so only a viewer with the same ids can use them.
 */
const WORKER_EXTENSION_IDS: Readonly<Record<string, number>> = {
  [MID]: 1,
  [RID]: 2,
  [REPAIRED_RID]: 3,
  [ABS_SEND_TIME]: 4,
  [TRANSPORT_CC]: 5,
  [AUDIO_LEVEL]: 6,
  [DEPENDENCY_DESCRIPTOR]: 7,
  [ORIENTATION]: 8,
  [ABS_CAPTURE_TIME]: 10,
  [PLAYOUT_DELAY]: 11,
};

const RECEIVED: Record<'audio' | 'video', readonly string[]> = {
  audio: [MID, ABS_SEND_TIME, TRANSPORT_CC, AUDIO_LEVEL, ABS_CAPTURE_TIME],
  video: [
    MID,
    RID,
    REPAIRED_RID,
    ABS_SEND_TIME,
    TRANSPORT_CC,
    DEPENDENCY_DESCRIPTOR,
    ORIENTATION,
    ABS_CAPTURE_TIME,
    PLAYOUT_DELAY,
  ],
};

/** Those that belong to the media, not to one hop: they travel with the packets from origin to viewer, under the worker's ids. */
const RELAYED: Record<'audio' | 'video', readonly string[]> = {
  audio: [AUDIO_LEVEL, ABS_CAPTURE_TIME],
  video: [DEPENDENCY_DESCRIPTOR, ORIENTATION, ABS_CAPTURE_TIME, PLAYOUT_DELAY],
};

/** What of a publisher's offer is understood, with the publisher's ids. */
export function receivedExtensions(
  kind: 'audio' | 'video',
  offered: readonly HeaderExtension[],
): types.RtpHeaderExtensionParameters[] {
  return offered
    .filter((ext) => RECEIVED[kind].includes(ext.uri))
    .map((ext) => ({ uri: ext.uri as types.RtpHeaderExtensionUri, id: ext.id, encrypt: false, parameters: {} }));
}

/** What of it leaves the origin, with the ids that the worker writes. */
export function relayedExtensions(kind: 'audio' | 'video', received: readonly HeaderExtension[]): HeaderExtension[] {
  return RELAYED[kind]
    .filter((uri) => received.some((ext) => ext.uri === uri))
    .map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! }));
}

/** What the worker adds to every packet to a viewer, whether agreed on or not. */
const WRITTEN: Record<'audio' | 'video', readonly string[]> = { audio: [MID], video: [MID, ABS_SEND_TIME, TRANSPORT_CC] };

/** What a server-made offer announces: all that the worker sends. The dependency descriptor is passed on by the worker but not announced by it. */
export function announcedExtensions(kind: 'audio' | 'video', relayed: readonly HeaderExtension[]): HeaderExtension[] {
  return [
    ...WRITTEN[kind].map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! })),
    ...relayed.filter((ext) => RELAYED[kind].includes(ext.uri)),
  ];
}

/** Stands where the worker writes the mid when the viewer has another id for it: of a length that no extension of fixed size has. */
export const UNAGREED_MID = 'millrace';

/** What can be agreed on with a viewer: same extension, same id. A receiver ignores ids that the answer does not list (RFC 8285 section 6). */
export function agreedExtensions(
  kind: 'audio' | 'video',
  offered: readonly HeaderExtension[],
  relayed: readonly HeaderExtension[],
): HeaderExtension[] {
  return [...WRITTEN[kind], ...relayed.map(({ uri }) => uri)]
    .map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! }))
    .filter((ext) => offered.some((theirs) => theirs.uri === ext.uri && theirs.id === ext.id));
}

export function hasExtension(extensions: readonly HeaderExtension[], name: 'mid' | 'transport-cc' | 'abs-send-time'): boolean {
  const uri = { mid: MID, 'transport-cc': TRANSPORT_CC, 'abs-send-time': ABS_SEND_TIME }[name];
  return extensions.some((ext) => ext.uri === uri);
}
