import { exponentialMs } from '@millrace/service';
import type { PeerAddress } from '../io/datagram.ts';
import { decodeHello, type Hello } from './hello.ts';
import type { Identity } from './identity.ts';
import { isOfMember, type KeyRing, memberMac, type RingKey } from './keys.ts';
import { type LinkIndex, remoteOf } from './link-index.ts';
import { NoiseInitiator, type NoiseResponder } from './noise.ts';
import { LinkSession } from './session.ts';
import { RateLimit } from './cookie.ts';
import {
  COOKIE_BYTES,
  type CookieReply,
  echoOfEphemeral,
  encodeInitiation,
  encodeResponse,
  MAX_DATAGRAM,
  type ResponseFrame,
} from './wire.ts';

const REKEY_AFTER_MS = 120_000;
/** The initiator of a session renews it; if it fails to, the responder does this much later. */
const RESPONDER_REKEY_DELAY_MS = 15_000;
const PREVIOUS_LIFE_MS = 30_000;
const HALF_OPEN_LIFE_MS = 5_000;
const MAX_HALF_OPEN = 2;
/** Answers to initiations of one peer. */
const ANSWERS_PER_SECOND = 10;
/** Two sessions established within this time of one another result from a simultaneous open. */
const SIMULTANEOUS_MS = 2_000;
const RETRY = { baseMs: 200, maxMs: 2_000 };
const COOKIE_LIFE_MS = 110_000;

export const PROLOGUE = Buffer.from('millrace trunk 4');

/** What a link needs from its endpoint. */
export interface LinkHost {
  readonly node: string;
  readonly boot: string;
  readonly capabilities: number;
  readonly receiveWindow: number;
  readonly identity: Identity;
  keys: KeyRing;
  readonly links: LinkIndex<PeerLink>;
  random(bytes: number): Buffer;
  nextStamp(): bigint;
  send(datagram: Buffer, to: PeerAddress): void;
}

interface Initiation {
  noise: NoiseInitiator;
  echo: bigint;
  index: number;
  key: RingKey;
}

interface HalfOpen {
  session: LinkSession;
  hello: Hello;
}

/** `fresh`: a new association. The peer has no state of the old one (it restarted, or either side gave up the trunk), so windows are reset. */
export type OnEstablished = (hello: Hello, fresh: boolean, nowMs: number) => void;

/** uncertified: a member of the mesh has made the handshake, yet not the node that it names, as far as control has certified. */
export type DatagramDropReason =
  'unknownSession' | 'forged' | 'replayed' | 'malformed' | 'misdirected' | 'uncertified' | 'limited' | 'stale';

/**
 * Sessions with one peer: starts and retries handshakes, chooses the session to send on, renews keys, tracks the peer's address. Retries, roles in
 * rekeying and half-open sessions, which carry nothing before the first sealed datagram, follow WireGuard (Donenfeld, NDSS 2017).
 */
export class PeerLink {
  readonly peer: string;
  /** Whether this side keeps initiating handshakes while there is no session. */
  wanted = false;
  rebinds = 0;
  /** Datagrams sent by the peer in this association, by its counters, and those received; the difference is loss. */
  expected = 0;
  received = 0;
  /** Addresses to try in turn until the peer answers. */
  private targets: PeerAddress[] = [];
  private readonly host: LinkHost;
  private readonly onEstablished: OnEstablished;
  private currentAddress: PeerAddress | undefined;
  private currentSession: LinkSession | undefined;
  /** Where this link sends data, as the index of links has it. */
  private remote: string | undefined;
  private previous: { session: LinkSession; untilMs: number } | undefined;
  private halfOpen: HalfOpen[] = [];
  private initiation: Initiation | undefined;
  private association: { boot: string; generation: number } | undefined;
  private generation = 0;
  private attempt = 0;
  private expelMs = Infinity;
  private nextTryMs = Infinity;
  private cookie: { bytes: Buffer; untilMs: number } | undefined;
  private readonly answers: RateLimit;

  constructor(host: LinkHost, peer: string, nowMs: number, onEstablished: OnEstablished) {
    this.host = host;
    this.peer = peer;
    this.onEstablished = onEstablished;
    this.answers = new RateLimit(ANSWERS_PER_SECOND, 2 * ANSWERS_PER_SECOND, nowMs);
  }

  get ready(): boolean {
    return this.current !== undefined;
  }

  get address(): PeerAddress | undefined {
    return this.currentAddress;
  }

  private set address(address: PeerAddress | undefined) {
    this.currentAddress = address;
    this.noteRemote();
  }

  /** The session that sends, for its counters. */
  get session(): LinkSession | undefined {
    return this.current;
  }

  private get current(): LinkSession | undefined {
    return this.currentSession;
  }

  private set current(session: LinkSession | undefined) {
    this.currentSession = session;
    this.noteRemote();
  }

  /** No session and no handshake in progress. */
  get idle(): boolean {
    return !this.current && !this.initiation && this.halfOpen.length === 0;
  }

  /** Seals with the current session; undefined while there is none. */
  seal(plaintext: Buffer): Buffer | undefined {
    return this.current?.seal(plaintext);
  }

  open(index: number, datagram: Buffer, from: PeerAddress, nowMs: number): Buffer | DatagramDropReason {
    const halfOpen = this.halfOpen.find((half) => half.session.localIndex === index);
    const session = halfOpen?.session ?? this.established(index);
    if (!session) return 'unknownSession';
    const plaintext = session.open(datagram);
    if (typeof plaintext === 'string') return plaintext;
    if (halfOpen) this.confirm(halfOpen, from, nowMs);
    else if (session.advanced > 0 && session === this.current) this.follow(from);
    this.expected += session.advanced;
    this.received++;
    return plaintext;
  }

  /** Sets the addresses at which to try the peer, in turn, until it has been heard. */
  aim(addresses: readonly PeerAddress[], nowMs: number): void {
    this.targets = [...addresses];
    const known = this.address;
    if (known && this.targets.some((target) => isSameAddress(target, known))) return;
    this.address = this.targets[0];
    this.attempt = 0;
    if (this.initiation) this.initiate(nowMs);
  }

  /** Starts a handshake unless one is in progress. */
  begin(nowMs: number): void {
    if (!this.initiation) this.initiate(nowMs);
  }

  receiveResponse(frame: ResponseFrame, from: PeerAddress, nowMs: number): DatagramDropReason | undefined {
    const initiation = this.initiation;
    if (!initiation || initiation.index !== frame.receiverIndex) return 'unknownSession';
    let finished;
    try {
      finished = initiation.noise.finish(frame.ephemeral, frame.sealedHello);
    } catch {
      return 'forged';
    }
    const hello = decodeHello(finished.payload);
    if (!hello) return 'malformed';
    if (hello.node !== this.peer || hello.peer !== this.host.node) return 'misdirected';
    if (!this.host.identity.trusts(hello, finished.transcript)) return 'uncertified';
    this.endInitiation();
    this.address = { address: from.address, port: from.port };
    const { index, key } = initiation;
    const session = new LinkSession({
      localIndex: index,
      remoteIndex: hello.index,
      keyId: key.id,
      initiator: true,
      nowMs,
      keys: finished.keys,
    });
    this.establish(session, hello, nowMs);
    return undefined;
  }

  /** Answers an initiation that opened under `key`. This side sends nothing on the session before the peer has used it. */
  receiveInitiation(
    noise: NoiseResponder,
    key: RingKey,
    hello: Hello,
    from: PeerAddress,
    nowMs: number,
  ): DatagramDropReason | undefined {
    if (!this.answers.take(nowMs)) return 'limited';
    let answer;
    const index = this.host.links.claimIndex(this);
    try {
      answer = noise.answer(this.host.random(32), (transcript) => this.hello(index, transcript));
    } catch {
      this.host.links.releaseIndex(index);
      return 'forged';
    }
    const session = new LinkSession({
      localIndex: index,
      remoteIndex: hello.index,
      keyId: key.id,
      initiator: false,
      nowMs,
      keys: answer.keys,
    });
    this.halfOpen.push({ session, hello });
    if (this.halfOpen.length > MAX_HALF_OPEN) this.release(this.halfOpen.shift()!.session);
    const { ephemeral, sealedPayload } = answer;
    this.host.send(encodeResponse({ receiverIndex: hello.index, ephemeral, sealedHello: sealedPayload }), from);
    return undefined;
  }

  /** The peer asks for proof of our address: repeats the initiation with the cookie. */
  receiveCookie(reply: CookieReply, nowMs: number): DatagramDropReason | undefined {
    if (!this.initiation) return 'stale';
    if (!isOfMember(this.initiation.key, reply)) return 'forged';
    const { cookie } = reply;
    if (this.cookie && this.cookie.bytes.equals(cookie)) return 'replayed';
    this.cookie = { bytes: Buffer.from(cookie), untilMs: nowMs + COOKIE_LIFE_MS };
    this.initiate(nowMs);
    return undefined;
  }

  /** Drops all sessions; the next handshake starts a new association on both sides. */
  restart(): void {
    this.generation++;
    this.association = undefined;
    this.dropSessions();
    this.attempt = 0;
    this.nextTryMs = Infinity;
  }

  /** The mesh keys changed: rekeys at once. A session under a removed key ends if rekeying does not succeed in time. */
  keysChanged(nowMs: number): void {
    this.attempt = 0;
    if (this.current && this.current.keyId !== this.host.keys.current.id) this.begin(nowMs);
    this.expelMs = nowMs + PREVIOUS_LIFE_MS;
  }

  /** Handles due timers; returns when to call again, ms. */
  service(nowMs: number): number {
    while (this.halfOpen[0] && nowMs - this.halfOpen[0].session.establishedMs >= HALF_OPEN_LIFE_MS) {
      this.release(this.halfOpen.shift()!.session);
    }
    if (this.previous && nowMs >= this.previous.untilMs) this.dropPrevious();
    if (nowMs >= this.expelMs) this.expel();
    if (!this.initiation && this.rekeyDueMs() <= nowMs) this.initiate(nowMs);
    else if (this.initiation && nowMs >= this.nextTryMs) this.retry(nowMs);
    else if (!this.initiation && !this.current && this.wanted && this.address) this.initiate(nowMs);
    return Math.min(
      this.initiation ? this.nextTryMs : this.rekeyDueMs(),
      this.previous?.untilMs ?? Infinity,
      this.expelMs,
      this.halfOpen[0] ? this.halfOpen[0].session.establishedMs + HALF_OPEN_LIFE_MS : Infinity,
    );
  }

  /** Ends sessions under a key that is no longer in the ring, since its holders are no longer trusted. */
  private expel(): void {
    this.expelMs = Infinity;
    const isKnown = (session: LinkSession): boolean => this.host.keys.keys.some((key) => key.id === session.keyId);
    if (this.current && !isKnown(this.current)) this.dropSessions();
    else if (this.previous && !isKnown(this.previous.session)) this.dropPrevious();
  }

  private retry(nowMs: number): void {
    if (this.current || this.wanted) {
      if (!this.current) this.aimNext();
      this.initiate(nowMs);
      return;
    }
    this.host.links.releaseIndex(this.initiation!.index);
    this.endInitiation();
  }

  /** Tries the next address of a peer that does not answer (after RFC 8305, Happy Eyeballs). */
  private aimNext(): void {
    if (this.targets.length < 2) return;
    const at = this.targets.findIndex((target) => this.address && isSameAddress(target, this.address));
    this.address = this.targets[(at + 1) % this.targets.length];
    // The peer bound the cookie to the source address that we used towards its other address.
    this.cookie = undefined;
  }

  private rekeyDueMs(): number {
    const session = this.current;
    if (!session) return Infinity;
    if (session.worn) return 0;
    return session.establishedMs + REKEY_AFTER_MS + (session.initiator ? 0 : RESPONDER_REKEY_DELAY_MS);
  }

  private initiate(nowMs: number): void {
    if (!this.address) return;
    // Try every address with one key before the next key.
    const key = this.host.keys.forAttempt(Math.floor(this.attempt / Math.max(1, this.targets.length)));
    const index = this.initiation?.index ?? this.host.links.claimIndex(this);
    const noise = new NoiseInitiator(key.psk, PROLOGUE, this.host.random(32), (transcript) => this.hello(index, transcript));
    const { sealedPayload, ephemeral } = noise;
    this.endInitiation();
    this.initiation = { noise, echo: echoOfEphemeral(ephemeral.publicBytes), index, key };
    this.host.links.claimEcho(this.initiation.echo, this);
    const wait = exponentialMs(RETRY, this.attempt + 1);
    // Jitter of a quarter, so that two peers that lost each other do not collide for ever.
    this.nextTryMs = nowMs + wait * (1 + this.host.random(1)[0]! / 1024);
    this.attempt++;
    const cookie = this.cookie && nowMs < this.cookie.untilMs ? this.cookie.bytes : Buffer.alloc(COOKIE_BYTES);
    const frame = { keyTag: key.tag, ephemeral: ephemeral.publicBytes, cookie, sealedHello: sealedPayload };
    this.host.send(
      encodeInitiation(frame, (bytes) => memberMac(key, bytes)),
      this.address,
    );
  }

  /** Its index is kept: it goes to the session or to the next initiation, or the caller releases it. */
  private endInitiation(): void {
    if (this.initiation) this.host.links.releaseEcho(this.initiation.echo);
    this.initiation = undefined;
  }

  private noteRemote(): void {
    const { current, address } = this;
    const remote = current && address && remoteOf(current.remoteIndex, address);
    if (remote === this.remote) return;
    if (this.remote !== undefined) this.host.links.releaseRemote(this.remote, this);
    if (remote !== undefined) this.host.links.claimRemote(remote, this);
    this.remote = remote;
  }

  private hello(index: number, transcript: Buffer): Buffer {
    const { host, generation, peer } = this;
    const { boot, capabilities, receiveWindow, node } = host;
    const stamp = host.nextStamp();
    const fields = { index, stamp, boot, generation, capabilities, maxDatagram: MAX_DATAGRAM, receiveWindow, node, peer };
    return host.identity.hello(fields, transcript);
  }

  private confirm(half: HalfOpen, from: PeerAddress, nowMs: number): void {
    this.halfOpen = this.halfOpen.filter((other) => other !== half);
    this.follow(from);
    this.establish(half.session, half.hello, nowMs);
  }

  private establish(session: LinkSession, hello: Hello, nowMs: number): void {
    const known = this.association;
    const fresh = !known || known.boot !== hello.boot || known.generation !== hello.generation;
    this.association = { boot: hello.boot, generation: hello.generation };
    this.attempt = 0;
    if (fresh) {
      this.dropPrevious();
      if (this.current) this.release(this.current);
      this.current = session;
      this.expected = this.received = 0;
    } else {
      this.adopt(session, nowMs);
    }
    this.onEstablished(hello, fresh, nowMs);
  }

  /** After a simultaneous open both sides must choose the same session, or each would wait for the other to renew its own. */
  private adopt(session: LinkSession, nowMs: number): void {
    const old = this.current;
    const alike = old && old.initiator !== session.initiator && old.keyId === session.keyId;
    const simultaneous = alike && nowMs - old.establishedMs < SIMULTANEOUS_MS;
    const keepOld = simultaneous && old.initiator === this.host.node < this.peer;
    this.dropPrevious();
    const spare = keepOld ? session : old;
    if (!keepOld) this.current = session;
    if (spare) this.previous = { session: spare, untilMs: nowMs + PREVIOUS_LIFE_MS };
  }

  private established(index: number): LinkSession | undefined {
    if (this.current?.localIndex === index) return this.current;
    if (this.previous?.session.localIndex === index) return this.previous.session;
    return undefined;
  }

  private follow(from: PeerAddress): void {
    const at = this.address;
    if (at && isSameAddress(at, from)) return;
    if (at) this.rebinds++;
    this.address = { address: from.address, port: from.port };
  }

  private dropPrevious(): void {
    if (this.previous) this.release(this.previous.session);
    this.previous = undefined;
  }

  private dropSessions(): void {
    this.dropPrevious();
    if (this.current) this.release(this.current);
    this.current = undefined;
    for (const half of this.halfOpen) this.release(half.session);
    this.halfOpen = [];
    if (this.initiation) this.host.links.releaseIndex(this.initiation.index);
    this.endInitiation();
  }

  private release(session: LinkSession): void {
    this.host.links.releaseIndex(session.localIndex);
  }
}

function isSameAddress(a: PeerAddress, b: PeerAddress): boolean {
  return a.port === b.port && a.address === b.address;
}
