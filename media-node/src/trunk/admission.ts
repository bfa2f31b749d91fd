import { AddressRate, type Clock } from '@millrace/service';
import type { PeerAddress } from './io/datagram.ts';
import { CookieJar } from './link/cookie.ts';
import { SourceLimit } from './link/source-limit.ts';
import { COOKIE_BYTES, type ReceivedInitiation } from './link/wire.ts';

/** Initiations without a cookie, of all sources and of one prefix. A NAT may hide all nodes of a site behind one address. */
const INITIATIONS_PER_SECOND = 500;
const INITIATIONS_PER_SECOND_OF_PREFIX = 50;
/** Initiations with a good cookie: the source address is proven, so that no limit over all sources is needed. */
const PROVEN_PER_SECOND_OF_PREFIX = 50;
const COOKIES_PER_SECOND = 5_000;
const COOKIES_PER_SECOND_OF_PREFIX = 50;
/** Twice as many MACs are remembered: about eight minutes of 2,048 peers that renew their keys every two minutes. */
const MAX_REMEMBERED_MACS = 4_096;

const NO_COOKIE = Buffer.alloc(COOKIE_BYTES);

/** `cookie`: the initiator is to prove that it owns its address by repeating the initiation with this cookie. */
export type Admission = 'admitted' | 'replayed' | 'limited' | { cookie: Buffer };

/**
 * Decides which initiations with a good MAC are worth the work of opening them. The sender holds the mesh key, or recorded an initiation and sends it
 * again from any address that it likes to write into the packet.
 */
export class InitiationAdmission {
  private readonly jar: CookieJar;
  private readonly unproven: SourceLimit;
  private readonly proven: AddressRate;
  private readonly cookies: SourceLimit;
  /** MACs of recent initiations in two generations: when the younger one is full, the older one is forgotten. */
  private recent = new Set<string>();
  private older = new Set<string>();

  constructor(random: (bytes: number) => Buffer, clock: Clock) {
    this.jar = new CookieJar(random, clock.now());
    const limit = (perSecondOfPrefix: number, perSecond: number): SourceLimit =>
      new SourceLimit({ perSecondOfPrefix, perSecond, clock });
    this.unproven = limit(INITIATIONS_PER_SECOND_OF_PREFIX, INITIATIONS_PER_SECOND);
    this.proven = new AddressRate({ perSecond: PROVEN_PER_SECOND_OF_PREFIX, burst: 2 * PROVEN_PER_SECOND_OF_PREFIX, clock });
    this.cookies = limit(COOKIES_PER_SECOND_OF_PREFIX, COOKIES_PER_SECOND);
  }

  admit(frame: ReceivedInitiation, from: PeerAddress, nowMs: number): Admission {
    if (!this.isNew(frame.mac)) return 'replayed';
    const source = `${from.address} ${from.port}`;
    if (!frame.cookie.equals(NO_COOKIE) && this.jar.verify(frame.cookie, source, nowMs)) {
      return this.proven.take(from.address) ? 'admitted' : 'limited';
    }
    if (this.unproven.take(from.address, nowMs)) return 'admitted';
    return this.cookies.take(from.address, nowMs) ? { cookie: this.jar.bake(source, nowMs) } : 'limited';
  }

  /** No initiator sends the same initiation twice, so a copy takes nothing from those who come for the first time. */
  private isNew(mac: Buffer): boolean {
    const key = mac.toString('latin1');
    if (this.recent.has(key) || this.older.has(key)) return false;
    if (this.recent.size >= MAX_REMEMBERED_MACS) {
      this.older = this.recent;
      this.recent = new Set();
    }
    this.recent.add(key);
    return true;
  }
}
