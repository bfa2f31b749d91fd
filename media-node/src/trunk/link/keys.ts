import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type Authenticated, KEY_TAG_BYTES, MAC_BYTES, type ReceivedInitiation } from './wire.ts';

/** A mesh key as it comes in the node's snapshot; the first of a list is the current one, the others are still accepted (rotation). */
export interface MeshKey {
  id: string;
  /** Base64, at least 16 bytes. */
  secret: string;
}

export interface RingKey {
  id: string;
  /** What travels in clear to say which key was used: derived from the id, so that ids themselves stay inside. */
  tag: Buffer;
  psk: Buffer;
  /** Key of the MACs of initiations and cookies, derived from the secret apart from the pre-shared key. */
  macKey: KeyObject;
}

/** The MAC of an initiation or a cookie, by which a member of the mesh is known before any other work (mac1 of WireGuard, section 5.4.4). */
export function memberMac(key: RingKey, authenticated: Buffer): Buffer {
  return createHmac('sha256', key.macKey).update(authenticated).digest().subarray(0, MAC_BYTES);
}

export function isOfMember(key: RingKey, { authenticated, mac }: Authenticated): boolean {
  return timingSafeEqual(memberMac(key, authenticated), mac);
}

export class KeyRing {
  readonly keys: readonly RingKey[];

  constructor(keys: readonly MeshKey[]) {
    if (keys.length === 0) throw new RangeError('trunk keys: at least one mesh key is needed');
    this.keys = keys.map((key) => {
      const secret = Buffer.from(key.secret, 'base64');
      if (secret.length < 16) throw new RangeError(`trunk keys: secret of key "${key.id}" must be at least 16 bytes in base64`);
      return {
        id: key.id,
        tag: createHash('sha256').update('millrace trunk key id\0').update(key.id).digest().subarray(0, KEY_TAG_BYTES),
        psk: createHmac('sha256', secret).update('millrace trunk psk').digest(),
        macKey: createSecretKey(createHmac('sha256', secret).update('millrace trunk mac').digest()),
      };
    });
  }

  get current(): RingKey {
    return this.keys[0]!;
  }

  /** Key for the n-th try of a handshake: a peer that has not yet learnt the current key still knows the one before. */
  forAttempt(attempt: number): RingKey {
    return this.keys[attempt % this.keys.length]!;
  }

  /** The key of the ring that the initiation names and under which its MAC is good, or why there is none. */
  authenticate(frame: ReceivedInitiation): RingKey | 'unknownKey' | 'forged' {
    const named = this.keys.filter((key) => key.tag.equals(frame.keyTag));
    if (named.length === 0) return 'unknownKey';
    return named.find((key) => isOfMember(key, frame)) ?? 'forged';
  }
}
