/**
 * Byte layouts of the link's datagrams (docs/trunk.md draws them). Integers of the trunk are little-endian, as KCP's are.
 *
 * Invariants of every version (the idea of RFC 8999): byte 0 is the version, byte 1 the type, an initiation carries random bytes at 16..23, and a
 * refusal has the layout below. So two nodes of different versions can always tell each other so.
 */
export const TRUNK_VERSION = 4;

export const DatagramType = { initiation: 1, response: 2, cookie: 3, data: 4, refusal: 5, unknownSession: 6 } as const;

/** Largest UDP payload ever sent: an Ethernet frame of 1,500 bytes less the IPv4 and UDP headers. mtu/path-mtu.ts discovers what a path carries. */
export const MAX_DATAGRAM = 1472;
/** UDP payload used until the path is known: BASE_PLPMTU of RFC 8899, section 5.1.2. */
export const BASE_DATAGRAM = 1200;
/** Minimum UDP payload limit: the 576 bytes that every IPv4 host takes (RFC 1122, section 3.3.2), less IP and UDP headers. */
export const MIN_DATAGRAM = 548;

export const KEY_TAG_BYTES = 8;
export const COOKIE_BYTES = 16;
export const MAC_BYTES = 16;
const ECHO_OFFSET = 16;
const ECHO_BYTES = 8;
export const TAG_BYTES = 16;
export const HELLO_BYTES = 440;
export const DATA_HEADER_BYTES = 16;

const INITIATION_HEADER = 64;
/** The MAC is at the end and covers all bytes before it. */
const MAC_OFFSET = INITIATION_HEADER + HELLO_BYTES + TAG_BYTES;
export const INITIATION_BYTES = MAC_OFFSET + MAC_BYTES;
const RESPONSE_HEADER = 40;
export const RESPONSE_BYTES = RESPONSE_HEADER + HELLO_BYTES + TAG_BYTES;
const COOKIE_MAC_OFFSET = 28;
export const COOKIE_REPLY_BYTES = COOKIE_MAC_OFFSET + MAC_BYTES;
export const REFUSAL_BYTES = 12;
const UNKNOWN_SESSION_BYTES = 16;

export interface InitiationFrame {
  keyTag: Buffer;
  ephemeral: Buffer;
  cookie: Buffer;
  sealedHello: Buffer;
}

/** What shows that a member of the mesh made a datagram. */
export interface Authenticated {
  /** What the MAC covers. */
  authenticated: Buffer;
  mac: Buffer;
}

export type ReceivedInitiation = InitiationFrame & Authenticated;

export interface CookieReply extends Authenticated {
  echo: bigint;
  cookie: Buffer;
}

export interface ResponseFrame {
  receiverIndex: number;
  ephemeral: Buffer;
  sealedHello: Buffer;
}

function header(bytes: number, type: number): Buffer {
  const datagram = Buffer.alloc(bytes);
  datagram[0] = TRUNK_VERSION;
  datagram[1] = type;
  return datagram;
}

/** `mac` computes the MAC over the bytes before it. */
export function encodeInitiation(frame: InitiationFrame, mac: (authenticated: Buffer) => Buffer): Buffer {
  const datagram = header(INITIATION_BYTES, DatagramType.initiation);
  frame.keyTag.copy(datagram, 8);
  frame.ephemeral.copy(datagram, 16);
  frame.cookie.copy(datagram, 48);
  frame.sealedHello.copy(datagram, INITIATION_HEADER);
  mac(datagram.subarray(0, MAC_OFFSET)).copy(datagram, MAC_OFFSET);
  return datagram;
}

export function decodeInitiation(datagram: Buffer): ReceivedInitiation | undefined {
  if (datagram.length !== INITIATION_BYTES) return undefined;
  return {
    keyTag: datagram.subarray(8, 16),
    ephemeral: datagram.subarray(16, 48),
    cookie: datagram.subarray(48, 64),
    sealedHello: datagram.subarray(INITIATION_HEADER, MAC_OFFSET),
    authenticated: datagram.subarray(0, MAC_OFFSET),
    mac: datagram.subarray(MAC_OFFSET),
  };
}

export function encodeResponse(frame: ResponseFrame): Buffer {
  const datagram = header(RESPONSE_BYTES, DatagramType.response);
  datagram.writeUInt32LE(frame.receiverIndex, 4);
  frame.ephemeral.copy(datagram, 8);
  frame.sealedHello.copy(datagram, RESPONSE_HEADER);
  return datagram;
}

export function decodeResponse(datagram: Buffer): ResponseFrame | undefined {
  if (datagram.length !== RESPONSE_BYTES) return undefined;
  return {
    receiverIndex: datagram.readUInt32LE(4),
    ephemeral: datagram.subarray(8, 40),
    sealedHello: datagram.subarray(RESPONSE_HEADER),
  };
}

/** The echo of an initiation: its bytes 16..23, the first of the ephemeral key, by which its sender finds it again. Refusals and cookies carry it. */
export function echoOfEphemeral(ephemeral: Buffer): bigint {
  return ephemeral.readBigUInt64LE(0);
}

/** The echo binds the cookie to one initiation; the MAC shows that a member of the mesh sends it. `mac` computes it over the bytes before it. */
export function encodeCookieReply(ephemeral: Buffer, cookie: Buffer, mac: (authenticated: Buffer) => Buffer): Buffer {
  const datagram = header(COOKIE_REPLY_BYTES, DatagramType.cookie);
  ephemeral.copy(datagram, 4, 0, ECHO_BYTES);
  cookie.copy(datagram, 12, 0, COOKIE_BYTES);
  mac(datagram.subarray(0, COOKIE_MAC_OFFSET)).copy(datagram, COOKIE_MAC_OFFSET);
  return datagram;
}

export function decodeCookieReply(datagram: Buffer): CookieReply | undefined {
  if (datagram.length !== COOKIE_REPLY_BYTES) return undefined;
  return {
    echo: datagram.readBigUInt64LE(4),
    cookie: datagram.subarray(12, COOKIE_MAC_OFFSET),
    authenticated: datagram.subarray(0, COOKIE_MAC_OFFSET),
    mac: datagram.subarray(COOKIE_MAC_OFFSET),
  };
}

export function encodeRefusal(refused: Buffer): Buffer {
  const datagram = header(REFUSAL_BYTES, DatagramType.refusal);
  datagram[2] = TRUNK_VERSION;
  datagram[3] = TRUNK_VERSION;
  refused.copy(datagram, 4, ECHO_OFFSET, ECHO_OFFSET + ECHO_BYTES);
  return datagram;
}

export function decodeRefusal(datagram: Buffer): { lowest: number; highest: number; echo: bigint } | undefined {
  if (datagram.length !== REFUSAL_BYTES) return undefined;
  return { lowest: datagram[2]!, highest: datagram[3]!, echo: datagram.readBigUInt64LE(4) };
}

/** Tells the sender of a data datagram that its session is not known here: it may start a handshake and nothing more, since this is not authenticated. */
export function encodeUnknownSession(data: Buffer): Buffer {
  const datagram = header(UNKNOWN_SESSION_BYTES, DatagramType.unknownSession);
  data.copy(datagram, 4, 4, DATA_HEADER_BYTES);
  return datagram;
}

export function decodeUnknownSession(datagram: Buffer): { remoteIndex: number } | undefined {
  if (datagram.length !== UNKNOWN_SESSION_BYTES) return undefined;
  return { remoteIndex: datagram.readUInt32LE(4) };
}

export function writeDataHeader(datagram: Buffer, receiverIndex: number, counter: number): void {
  datagram[0] = TRUNK_VERSION;
  datagram[1] = DatagramType.data;
  datagram[2] = 0;
  datagram[3] = 0;
  datagram.writeUInt32LE(receiverIndex, 4);
  datagram.writeUInt32LE(counter % 0x1_0000_0000, 8);
  datagram.writeUInt32LE(Math.floor(counter / 0x1_0000_0000), 12);
}

export function readCounter(datagram: Buffer): number {
  return datagram.readUInt32LE(8) + datagram.readUInt32LE(12) * 0x1_0000_0000;
}
