import type { Hello } from './hello.ts';

/** Peers whose stamps are remembered, also after their trunks are gone: the one that was heard longest ago is forgotten first. */
const MAX_PEERS = 4_096;
/** Starts of one peer that are told apart. */
const MAX_BOOTS = 8;
/**
 * How far the clock of a peer may have gone back over its restart. An initiation of a start that was not seen before counts as a replay when its stamp is
 * older than the highest one by more than this.
 */
const MAX_CLOCK_STEP_BACK_MS = 3_600_000;

interface PeerStamps {
  /** The highest stamp of each start. */
  ofBoot: Map<string, bigint>;
  /** At least the highest stamp of each start that was forgotten. */
  floor: bigint;
}

type Stamped = Pick<Hello, 'node' | 'boot' | 'stamp'>;

/**
 * Recognizes recorded initiations by their stamps, over all starts of a peer. Within one start stamps only grow; a start that was not seen before may
 * be behind the highest stamp by MAX_CLOCK_STEP_BACK_MS, and once only, since its own stamp is remembered from then on.
 */
export class InitiationStamps {
  private readonly peers = new Map<string, PeerStamps>();

  /** `wallMs`: this node's own clock, ms since the epoch. A peer that once ran with a clock in the future is not locked out by that. */
  isFresh({ node, boot, stamp }: Stamped, wallMs: number): boolean {
    const known = this.peers.get(node);
    if (!known) return true;
    const ofBoot = known.ofBoot.get(boot);
    if (ofBoot !== undefined) return stamp > ofBoot;
    let highest = 0n;
    for (const other of known.ofBoot.values()) if (other > highest) highest = other;
    const now = microseconds(wallMs);
    const oldest = (highest < now ? highest : now) - microseconds(MAX_CLOCK_STEP_BACK_MS);
    return stamp > oldest && stamp > known.floor;
  }

  /** Remembers the stamp of an initiation that was answered. */
  note({ node, boot, stamp }: Stamped): void {
    const peer = this.peers.get(node) ?? { ofBoot: new Map<string, bigint>(), floor: 0n };
    peer.ofBoot.set(boot, stamp);
    if (peer.ofBoot.size > MAX_BOOTS) forgetOldestBoot(peer);
    this.peers.delete(node);
    this.peers.set(node, peer);
    if (this.peers.size > MAX_PEERS) this.peers.delete(this.peers.keys().next().value!);
  }
}

function forgetOldestBoot(peer: PeerStamps): void {
  const [boot, stamp] = [...peer.ofBoot].reduce((oldest, other) => (other[1] < oldest[1] ? other : oldest));
  peer.ofBoot.delete(boot);
  if (stamp > peer.floor) peer.floor = stamp;
}

function microseconds(ms: number): bigint {
  return BigInt(Math.floor(ms)) * 1000n;
}
