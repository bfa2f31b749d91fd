import type { Clock } from '@millrace/service';
import { InitiationAdmission } from './admission.ts';
import { decodeHello } from './link/hello.ts';
import { InitiationStamps } from './link/initiation-stamps.ts';
import { memberMac } from './link/keys.ts';
import { remoteOf } from './link/link-index.ts';
import { NoiseResponder } from './link/noise.ts';
import { type DatagramDropReason, type PeerLink, PROLOGUE } from './link/peer-link.ts';
import { SourceLimit } from './link/source-limit.ts';
import * as wire from './link/wire.ts';
import type { PeerAddress } from './io/datagram.ts';
import type { Trunk, TrunkHost } from './trunk.ts';

/** Unknown-session notices, and refusals of other versions: each of them by its own count, since strangers can ask for both. */
const NOTICES_PER_SECOND = 500;
const NOTICES_PER_SECOND_OF_PREFIX = 20;

export type EndpointDropReason =
  DatagramDropReason | 'version' | 'unknownKey' | 'short' | 'unknownType' | 'full' | 'unresolved' | 'unreadable';

/** What the reception needs from its endpoint. */
export interface ReceptionHost extends TrunkHost {
  readonly clock: Clock;
  trunkOfLink(link: PeerLink): Trunk | undefined;
  /** The trunk with this authenticated peer, created if there is none; undefined when there are too many trunks. */
  trunkFor(node: string): Trunk | undefined;
}

/** Entry point of every datagram: dispatches by version, type and session, and limits the work that unauthenticated senders can cause. */
export class Reception {
  private readonly host: ReceptionHost;
  private readonly admission: InitiationAdmission;
  private readonly stamps = new InitiationStamps();
  private readonly unknownSessions: SourceLimit;
  private readonly refusals: SourceLimit;

  constructor(host: ReceptionHost) {
    this.host = host;
    const { clock } = host;
    this.admission = new InitiationAdmission((bytes) => host.random(bytes), clock);
    const rates = { perSecondOfPrefix: NOTICES_PER_SECOND_OF_PREFIX, perSecond: NOTICES_PER_SECOND, clock };
    this.unknownSessions = new SourceLimit(rates);
    this.refusals = new SourceLimit(rates);
  }

  /** Processes one datagram; returns the reason when it was dropped. Never throws on malformed input, though the user's handlers may throw. */
  receive(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    if (datagram.length < wire.REFUSAL_BYTES) return 'short';
    if (datagram[1] === wire.DatagramType.refusal) return this.receiveRefusal(datagram);
    if (datagram[0] !== wire.TRUNK_VERSION) return this.refuse(datagram, from, nowMs);
    switch (datagram[1]) {
      case wire.DatagramType.data:
        return this.receiveData(datagram, from, nowMs);
      case wire.DatagramType.initiation:
        return this.receiveInitiation(datagram, from, nowMs);
      case wire.DatagramType.response:
        return this.receiveResponse(datagram, from, nowMs);
      case wire.DatagramType.cookie:
        return this.receiveCookie(datagram, nowMs);
      case wire.DatagramType.unknownSession:
        return this.receiveUnknownSession(datagram, from, nowMs);
      default:
        return 'unknownType';
    }
  }

  private receiveData(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    if (datagram.length < wire.DATA_HEADER_BYTES + wire.TAG_BYTES) return 'short';
    const index = datagram.readUInt32LE(4);
    const link = this.host.links.withIndex(index);
    const trunk = link && this.host.trunkOfLink(link);
    if (!trunk) {
      if (this.unknownSessions.take(from.address, nowMs)) this.host.send(wire.encodeUnknownSession(datagram), from);
      return 'unknownSession';
    }
    const plaintext = trunk.link.open(index, datagram, from, nowMs);
    if (typeof plaintext === 'string') return plaintext;
    const isSound = trunk.receive(plaintext, datagram.length, nowMs);
    this.host.touch(trunk);
    return isSound ? undefined : 'unreadable';
  }

  private receiveInitiation(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    const frame = wire.decodeInitiation(datagram);
    if (!frame) return 'malformed';
    const key = this.host.keys.authenticate(frame);
    if (typeof key === 'string') return key;
    const admission = this.admission.admit(frame, from, nowMs);
    if (typeof admission === 'object') {
      const reply = wire.encodeCookieReply(frame.ephemeral, admission.cookie, (bytes) => memberMac(key, bytes));
      this.host.send(reply, from);
      return 'limited';
    }
    if (admission !== 'admitted') return admission;
    let noise;
    try {
      noise = new NoiseResponder(key.psk, PROLOGUE, frame.ephemeral, frame.sealedHello);
    } catch {
      return 'forged';
    }
    const hello = decodeHello(noise.payload);
    if (!hello) return 'malformed';
    if (hello.peer !== this.host.node || hello.node === this.host.node) return 'misdirected';
    if (!this.stamps.isFresh(hello, this.host.clock.wall())) return 'replayed';
    if (!this.host.identity.trusts(hello, noise.transcript)) return 'uncertified';
    const trunk = this.host.trunkFor(hello.node);
    if (!trunk) return 'full';
    this.host.touch(trunk);
    const dropped = trunk.link.receiveInitiation(noise, key, hello, from, nowMs);
    if (!dropped) this.stamps.note(hello);
    return dropped;
  }

  private receiveResponse(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    const frame = wire.decodeResponse(datagram);
    if (!frame) return 'malformed';
    const link = this.host.links.withIndex(frame.receiverIndex);
    return link ? link.receiveResponse(frame, from, nowMs) : 'unknownSession';
  }

  private receiveCookie(datagram: Buffer, nowMs: number): EndpointDropReason | undefined {
    const reply = wire.decodeCookieReply(datagram);
    if (!reply) return 'malformed';
    const link = this.host.links.withEcho(reply.echo);
    return link ? link.receiveCookie(reply, nowMs) : 'stale';
  }

  /** Not authenticated: it only starts a handshake with the peer, which the link rate-limits. */
  private receiveUnknownSession(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    const notice = wire.decodeUnknownSession(datagram);
    if (!notice) return 'malformed';
    const link = this.host.links.withRemote(remoteOf(notice.remoteIndex, from));
    const trunk = link && this.host.trunkOfLink(link);
    if (!trunk) return 'stale';
    trunk.link.begin(nowMs);
    this.host.touch(trunk);
    return undefined;
  }

  private refuse(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason {
    const isInitiation = datagram[1] === wire.DatagramType.initiation && datagram.length >= 24;
    if (isInitiation && this.refusals.take(from.address, nowMs)) this.host.send(wire.encodeRefusal(datagram), from);
    return 'version';
  }

  private receiveRefusal(datagram: Buffer): EndpointDropReason {
    const refusal = wire.decodeRefusal(datagram);
    const link = refusal && this.host.links.withEcho(refusal.echo);
    const trunk = link && this.host.trunkOfLink(link);
    if (trunk) trunk.refuse({ lowest: refusal.lowest, highest: refusal.highest });
    return 'version';
  }
}
