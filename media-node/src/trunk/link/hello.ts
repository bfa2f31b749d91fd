import { NODE_CERTIFICATE_BYTES, NODE_KEY_BYTES } from '@millrace/api';
import { MAX_NODE_NAME } from '@millrace/api/trunk';
import { HELLO_BYTES } from './wire.ts';

/** Capabilities that a side announces; unknown bits are ignored. */
export const Capability = {
  /** Understands FORWARD: the sender may say that older segments of a conversation will not come. */
  forward: 1,
  /** Decodes FEC shards. */
  fec: 2,
} as const;

/** What the two sides tell each other under the handshake's seal. */
export interface Hello {
  /** Index that the other side puts into its data datagrams. */
  index: number;
  /** Grows with every handshake of one boot, by which recorded initiations are recognized: microseconds since the epoch, or one more than the last. */
  stamp: bigint;
  /** Eight random bytes of this process, as hex. */
  boot: string;
  /** Counts how often this side threw its trunk state (windows, conversations) away; another value means start afresh. */
  generation: number;
  capabilities: number;
  /** Size of the largest datagram that the sender of this hello takes. */
  maxDatagram: number;
  /** Segments that each of its media conversations takes ahead of the oldest missing one. */
  receiveWindow: number;
  node: string;
  /** Whom it wants to speak to; someone else at that address does not answer. */
  peer: string;
  /** The sender's Ed25519 public key, raw. */
  nodeKey: Buffer;
  /** Control's certificate for that key; zeros while there is none. */
  certificate: Buffer;
}

export type UnsignedHello = Omit<Hello, 'nodeKey' | 'certificate'>;

/** A hello as it was received. */
export interface SignedHello extends Hello {
  /** What the signature covers, besides the handshake before it. */
  signed: Buffer;
  signature: Buffer;
}

const MAX_NODE_NAME_BYTES = MAX_NODE_NAME;

const NODE_KEY_OFFSET = 32;
const CERTIFICATE_OFFSET = NODE_KEY_OFFSET + NODE_KEY_BYTES;
const NAMES_OFFSET = CERTIFICATE_OFFSET + NODE_CERTIFICATE_BYTES;
/** The signature is at the end and covers all bytes before it. */
const SIGNATURE_OFFSET = HELLO_BYTES - 64;

/** `sign` computes the signature over the bytes before it. */
export function encodeHello(hello: Hello, sign: (signed: Buffer) => Buffer): Buffer {
  const out = Buffer.alloc(HELLO_BYTES);
  out.writeUInt32LE(hello.index, 0);
  out.writeBigUInt64LE(hello.stamp, 4);
  out.write(hello.boot, 12, 8, 'hex');
  out.writeUInt32LE(hello.generation >>> 0, 20);
  out.writeUInt32LE(hello.capabilities, 24);
  out.writeUInt16LE(hello.maxDatagram, 28);
  out.writeUInt16LE(hello.receiveWindow, 30);
  hello.nodeKey.copy(out, NODE_KEY_OFFSET);
  hello.certificate.copy(out, CERTIFICATE_OFFSET);
  const next = writeName(out, NAMES_OFFSET, hello.node);
  writeName(out, next, hello.peer);
  sign(out.subarray(0, SIGNATURE_OFFSET)).copy(out, SIGNATURE_OFFSET);
  return out;
}

/** Undefined when it is malformed: the sender holds the key, yet is of another mind about the layout. */
export function decodeHello(bytes: Buffer): SignedHello | undefined {
  if (bytes.length !== HELLO_BYTES) return undefined;
  const node = readName(bytes, NAMES_OFFSET);
  const peer = node && readName(bytes, node.next);
  if (!node || !peer) return undefined;
  return {
    index: bytes.readUInt32LE(0),
    stamp: bytes.readBigUInt64LE(4),
    boot: bytes.toString('hex', 12, 20),
    generation: bytes.readUInt32LE(20),
    capabilities: bytes.readUInt32LE(24),
    maxDatagram: bytes.readUInt16LE(28),
    receiveWindow: bytes.readUInt16LE(30),
    nodeKey: bytes.subarray(NODE_KEY_OFFSET, CERTIFICATE_OFFSET),
    certificate: bytes.subarray(CERTIFICATE_OFFSET, NAMES_OFFSET),
    node: node.name,
    peer: peer.name,
    signed: bytes.subarray(0, SIGNATURE_OFFSET),
    signature: bytes.subarray(SIGNATURE_OFFSET),
  };
}

function writeName(out: Buffer, offset: number, name: string): number {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > MAX_NODE_NAME_BYTES) {
    throw new RangeError(`node name "${name}": must be 1 to ${MAX_NODE_NAME_BYTES} bytes`);
  }
  out[offset] = length;
  out.write(name, offset + 1);
  return offset + 1 + length;
}

function readName(bytes: Buffer, offset: number): { name: string; next: number } | undefined {
  const length = bytes[offset]!;
  if (length === 0 || length > MAX_NODE_NAME_BYTES) return undefined;
  const name = bytes.toString('utf8', offset + 1, offset + 1 + length);
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) return undefined;
  return { name, next: offset + 1 + length };
}
