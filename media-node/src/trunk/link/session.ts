import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { SessionKeys } from './noise.ts';
import { writeNonce } from './noise.ts';
import { ReplayWindow } from './replay.ts';
import { Slab } from './slab.ts';
import { DATA_HEADER_BYTES, readCounter, TAG_BYTES, writeDataHeader } from './wire.ts';

const GCM = 'aes-256-gcm';
const TAG = { authTagLength: TAG_BYTES };

/** Seals at most this many datagrams under one key: the confidentiality limit of AES-GCM in RFC 9001, section 6.6. */
const MAX_SEALED = 2 ** 23;

/** Smaller plaintexts (audio, acknowledgements) are not copied into a slab: kept for long, they would keep a whole slab alive. */
const WORTH_COPYING_BYTES = 512;

const sent = new Slab();
const opened = new Slab();

export type OpenResult = Buffer | 'replayed' | 'forged';

/** One pair of AEAD keys between two nodes, with the counters that go with them. The trunk's state outlives it (rekey). */
export class LinkSession {
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly keyId: string;
  readonly initiator: boolean;
  readonly establishedMs: number;
  sealed = 0;
  /** By how much the last opened datagram raised the highest counter; 0 for a late one. Only a newer datagram may change the peer's address. */
  advanced = 0;
  private readonly sendKey: KeyObject;
  private readonly receiveKey: KeyObject;
  private readonly nonce = Buffer.alloc(12);
  private readonly header = Buffer.alloc(DATA_HEADER_BYTES);
  private readonly replay = new ReplayWindow();

  constructor(init: {
    localIndex: number;
    remoteIndex: number;
    keyId: string;
    initiator: boolean;
    nowMs: number;
    keys: SessionKeys;
  }) {
    this.localIndex = init.localIndex;
    this.remoteIndex = init.remoteIndex;
    this.keyId = init.keyId;
    this.initiator = init.initiator;
    this.establishedMs = init.nowMs;
    this.sendKey = init.keys.send;
    this.receiveKey = init.keys.receive;
  }

  get worn(): boolean {
    return this.sealed >= MAX_SEALED;
  }

  /** The datagram for this plaintext, ready to send. */
  seal(plaintext: Buffer): Buffer {
    const counter = this.sealed++;
    const datagram = sent.take(DATA_HEADER_BYTES + plaintext.length + TAG_BYTES);
    writeDataHeader(this.header, this.remoteIndex, counter);
    writeNonce(this.nonce, counter);
    const cipher = createCipheriv(GCM, this.sendKey, this.nonce, TAG);
    cipher.setAAD(this.header);
    datagram.set(this.header);
    datagram.set(cipher.update(plaintext), DATA_HEADER_BYTES);
    cipher.final();
    datagram.set(cipher.getAuthTag(), DATA_HEADER_BYTES + plaintext.length);
    return datagram;
  }

  /** The plaintext, for the caller to keep. */
  open(datagram: Buffer): OpenResult {
    const counter = readCounter(datagram);
    if (counter > Number.MAX_SAFE_INTEGER) return 'forged';
    if (!this.replay.isFresh(counter)) return 'replayed';
    const end = datagram.length - TAG_BYTES;
    writeNonce(this.nonce, counter);
    const decipher = createDecipheriv(GCM, this.receiveKey, this.nonce, TAG);
    datagram.copy(this.header, 0, 0, DATA_HEADER_BYTES);
    decipher.setAAD(this.header);
    decipher.setAuthTag(datagram.subarray(end));
    const plaintext = decipher.update(datagram.subarray(DATA_HEADER_BYTES, end));
    try {
      decipher.final();
    } catch {
      return 'forged';
    }
    this.advanced = Math.max(0, counter - this.replay.highest);
    this.replay.mark(counter);
    return plaintext.length < WORTH_COPYING_BYTES ? plaintext : copyOf(plaintext);
  }
}

function copyOf(plaintext: Buffer): Buffer {
  const copy = opened.take(plaintext.length);
  copy.set(plaintext);
  return copy;
}
