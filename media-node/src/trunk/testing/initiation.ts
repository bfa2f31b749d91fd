import { Identity, SEED_BYTES } from '../link/identity.ts';
import { KeyRing, memberMac, type MeshKey } from '../link/keys.ts';
import { NoiseInitiator } from '../link/noise.ts';
import { PROLOGUE } from '../link/peer-link.ts';
import { COOKIE_BYTES, encodeInitiation } from '../link/wire.ts';

/** An initiation as a member of the mesh makes it: what somebody who recorded one sends again, or a compromised member without end. */
export function memberInitiation(init: {
  key: MeshKey;
  random: (bytes: number) => Buffer;
  node: string;
  peer: string;
  boot?: string;
  /** Microseconds since the epoch. */
  stamp?: bigint;
  cookie?: Buffer;
  /** Whose key signs the hello; default: a random one. */
  identity?: Identity;
}): Buffer {
  const key = new KeyRing([init.key]).current;
  const identity = init.identity ?? new Identity(init.random(SEED_BYTES));
  const hello = {
    index: init.random(4).readUInt32LE(0),
    stamp: init.stamp ?? 1_700_000_000_000_000n,
    boot: init.boot ?? init.random(8).toString('hex'),
    generation: 0,
    capabilities: 3,
    maxDatagram: 1472,
    receiveWindow: 1024,
    node: init.node,
    peer: init.peer,
  };
  const noise = new NoiseInitiator(key.psk, PROLOGUE, init.random(32), (transcript) => identity.hello(hello, transcript));
  const frame = {
    keyTag: key.tag,
    ephemeral: noise.ephemeral.publicBytes,
    cookie: init.cookie ?? Buffer.alloc(COOKIE_BYTES),
    sealedHello: noise.sealedPayload,
  };
  return encodeInitiation(frame, (bytes) => memberMac(key, bytes));
}
