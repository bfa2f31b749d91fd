import type { PeerAddress } from '../io/datagram.ts';

/**
 * Finds the link that a datagram concerns in constant time, whoever sent it: by the local index of a session, by the echo of an initiation in
 * progress, and by where a link sends its data. `Link` is the link's type.
 */
export class LinkIndex<Link> {
  private readonly random: (bytes: number) => Buffer;
  private readonly byIndex = new Map<number, Link>();
  private readonly byEcho = new Map<bigint, Link>();
  private readonly byRemote = new Map<string, Link>();

  constructor(random: (bytes: number) => Buffer) {
    this.random = random;
  }

  /** A free local index, which belongs to the link until it is released. */
  claimIndex(link: Link): number {
    for (;;) {
      const index = this.random(4).readUInt32LE(0);
      if (this.byIndex.has(index)) continue;
      this.byIndex.set(index, link);
      return index;
    }
  }

  releaseIndex(index: number): void {
    this.byIndex.delete(index);
  }

  withIndex(index: number): Link | undefined {
    return this.byIndex.get(index);
  }

  claimEcho(echo: bigint, link: Link): void {
    this.byEcho.set(echo, link);
  }

  releaseEcho(echo: bigint): void {
    this.byEcho.delete(echo);
  }

  /** The link with this initiation in progress. */
  withEcho(echo: bigint): Link | undefined {
    return this.byEcho.get(echo);
  }

  claimRemote(remote: string, link: Link): void {
    this.byRemote.set(remote, link);
  }

  /** Peers choose their indices, so that another link may have claimed the same remote since: it keeps it. */
  releaseRemote(remote: string, link: Link): void {
    if (this.byRemote.get(remote) === link) this.byRemote.delete(remote);
  }

  /** The link that sends data to this remote, see `remoteOf`. */
  withRemote(remote: string): Link | undefined {
    return this.byRemote.get(remote);
  }
}

/** Where data of a session goes: the peer's index and address. */
export function remoteOf(remoteIndex: number, { address, port }: PeerAddress): string {
  return `${remoteIndex} ${port} ${address}`;
}
