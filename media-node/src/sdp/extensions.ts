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
const TOFFSET = 'urn:ietf:params:rtp-hdrext:toffset';

/**
 * The worker writes extensions under ids of its own, whatever was negotiated (mediasoup issue 1126). So what it sends can be understood only by a viewer
 * whose ids are the same or at least do not mislead.
 */
export const WORKER_EXTENSION_IDS: Readonly<Record<string, number>> = {
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
  video: [MID, RID, REPAIRED_RID, ABS_SEND_TIME, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR, ORIENTATION, ABS_CAPTURE_TIME, PLAYOUT_DELAY],
};

/** Those that belong to the media, not to one hop: they travel with the packets from origin to viewer, under the worker's ids. */
const RELAYED: Record<'audio' | 'video', readonly string[]> = {
  audio: [AUDIO_LEVEL, ABS_CAPTURE_TIME],
  video: [DEPENDENCY_DESCRIPTOR, ORIENTATION, ABS_CAPTURE_TIME, PLAYOUT_DELAY],
};

/** What of a publisher's offer is understood, with the publisher's ids. */
export function receivedExtensions(kind: 'audio' | 'video', offered: readonly HeaderExtension[]): types.RtpHeaderExtensionParameters[] {
  return offered
    .filter((ext) => RECEIVED[kind].includes(ext.uri))
    .map((ext) => ({ uri: ext.uri as types.RtpHeaderExtensionUri, id: ext.id, encrypt: false, parameters: {} }));
}

/** What of it leaves the origin, with the ids that the worker writes. */
export function relayedExtensions(kind: 'audio' | 'video', received: readonly HeaderExtension[]): HeaderExtension[] {
  return RELAYED[kind].filter((uri) => received.some((ext) => ext.uri === uri)).map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! }));
}

/** What a server-made offer announces: all that the worker sends. The dependency descriptor is passed on by the worker but not announced by it. */
export function announcedExtensions(kind: 'audio' | 'video', relayed: readonly HeaderExtension[]): HeaderExtension[] {
  const always = kind === 'audio' ? [MID] : [MID, ABS_SEND_TIME, TRANSPORT_CC];
  return [...always.map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! })), ...relayed.filter((ext) => RELAYED[kind].includes(ext.uri))];
}

/** Bytes of what a receiver would take for the extension; 'any' for text and structures. Not listed: harmless when misread. */
const SIZE_BYTES: Record<string, readonly number[] | 'any'> = {
  [MID]: 'any',
  [RID]: 'any',
  [REPAIRED_RID]: 'any',
  [DEPENDENCY_DESCRIPTOR]: 'any',
  'http://www.webrtc.org/experiments/rtp-hdrext/generic-frame-descriptor-00': 'any',
  [ABS_SEND_TIME]: [3],
  [TOFFSET]: [3],
  [PLAYOUT_DELAY]: [3],
  [TRANSPORT_CC]: [2],
  [ORIENTATION]: [1],
};

/** Bytes that stand under an id in every packet to a viewer. A mid that was not agreed on is 8 characters long (see `UNAGREED_MID`). */
const WRITTEN: Record<'audio' | 'video', readonly { uri: string; bytes: number }[]> = {
  audio: [{ uri: MID, bytes: 8 }],
  video: [
    { uri: MID, bytes: 8 },
    { uri: ABS_SEND_TIME, bytes: 3 },
    { uri: TRANSPORT_CC, bytes: 2 },
  ],
};

/** Stands in packets to a viewer that has another id for the mid: of a length that no extension of fixed size has. */
export const UNAGREED_MID = 'millrace';

export interface ViewerExtensions {
  /** Same id at both ends: these are in the answer. */
  agreed: HeaderExtension[];
  /** Of the relayed ones, those that the viewer understands or that do not mislead it. */
  relayed: HeaderExtension[];
  /** The viewer would take what the worker writes under this id for something else, and act on it. */
  misread?: HeaderExtension;
}

/** Compares a viewer's ids with the worker's. */
export function viewerExtensions(kind: 'audio' | 'video', offered: readonly HeaderExtension[], relayed: readonly HeaderExtension[]): ViewerExtensions {
  const at = (id: number): HeaderExtension | undefined => offered.find((ext) => ext.id === id);
  const isAgreed = (uri: string): boolean => at(WORKER_EXTENSION_IDS[uri]!)?.uri === uri;
  const kept = relayed.filter((ext) => at(ext.id) === undefined || at(ext.id)?.uri === ext.uri);
  const agreed = [...WRITTEN[kind].map(({ uri }) => uri), ...kept.map(({ uri }) => uri)].filter(isAgreed);
  const misread = WRITTEN[kind]
    .map(({ uri, bytes }) => ({ theirs: at(WORKER_EXTENSION_IDS[uri]!), uri, bytes }))
    .find(({ theirs, uri, bytes }) => {
      if (!theirs || theirs.uri === uri) return false;
      const size = SIZE_BYTES[theirs.uri];
      return size === 'any' || (size?.includes(bytes) ?? false);
    })?.theirs;
  return { agreed: agreed.map((uri) => ({ uri, id: WORKER_EXTENSION_IDS[uri]! })), relayed: kept, ...(misread ? { misread } : {}) };
}

export function hasExtension(extensions: readonly HeaderExtension[], name: 'mid' | 'transport-cc' | 'abs-send-time'): boolean {
  const uri = { mid: MID, 'transport-cc': TRANSPORT_CC, 'abs-send-time': ABS_SEND_TIME }[name];
  return extensions.some((ext) => ext.uri === uri);
}
