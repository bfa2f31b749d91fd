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
 * The ids under which the media worker writes header extensions. It ignores negotiated ids (mediasoup issue 1126), so a viewer can use an extension only if
 * it has the same id for it.
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

/** Extensions that describe the media rather than one hop. Packets carry them from origin to viewer under the worker's ids. */
const RELAYED: Record<'audio' | 'video', readonly string[]> = {
  audio: [AUDIO_LEVEL, ABS_CAPTURE_TIME],
  video: [DEPENDENCY_DESCRIPTOR, ORIENTATION, ABS_CAPTURE_TIME, PLAYOUT_DELAY],
};

/** The extensions of a publisher's offer that the node understands, with the publisher's ids. */
export function receivedExtensions(
  kind: 'audio' | 'video',
  offered: readonly HeaderExtension[],
): types.RtpHeaderExtensionParameters[] {
  return offered
    .filter((ext) => RECEIVED[kind].includes(ext.uri))
    .map((ext) => ({ uri: ext.uri as types.RtpHeaderExtensionUri, id: ext.id, encrypt: false, parameters: {} }));
}

/** The received extensions that leave the origin, with the ids that the worker writes. */
export function relayedExtensions(kind: 'audio' | 'video', received: readonly HeaderExtension[]): HeaderExtension[] {
  return RELAYED[kind]
    .filter((uri) => received.some((ext) => ext.uri === uri))
    .map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! }));
}

/** Extensions that the worker adds to every packet for a viewer, even when they were not negotiated. */
const WRITTEN: Record<'audio' | 'video', readonly string[]> = { audio: [MID], video: [MID, ABS_SEND_TIME, TRANSPORT_CC] };

/** The extensions in the node's own offer: everything that the worker sends. The worker forwards the dependency descriptor without announcing it. */
export function announcedExtensions(kind: 'audio' | 'video', relayed: readonly HeaderExtension[]): HeaderExtension[] {
  return [
    ...WRITTEN[kind].map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! })),
    ...relayed.filter((ext) => RELAYED[kind].includes(ext.uri)),
  ];
}

/** The mid that the worker writes when the viewer has another id for it. No fixed-size extension has this length, so a viewer cannot misread it as one. */
export const UNAGREED_MID = 'millrace';

/** The extensions to agree on with a viewer: those that it offers under the worker's id. A receiver ignores ids that the answer omits (RFC 8285 section 6). */
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
