import {
  TrunkControlMessageError,
  decodeTrunkControlMessage,
  encodeTrunkControlMessage,
  type TrunkControlMessage,
  type Hop,
} from '@millrace/api/trunk';
import type { LinkReport } from '@millrace/api';
import type { CarriedStream, MediaClass } from './carried-stream/index.ts';
import { LinkWindow } from './link-window.ts';
import type { RelayTrunk, RelayTrunks } from './trunks.ts';

/** Most peers at a time: those of the settings, the origins of streams, and those that dial this node. */
export const MAX_PEERS = 1500;
/** Most messages queued for a trunk that is not up yet. */
const MAX_WAITING = 1024;
/** Above this a link is reported as degraded. */
const DEGRADED_LOSS_PERCENT = 5;

/** Minimum MTU of IPv6 (RFC 8200, section 5): a path below it is worth a warning. */
const NARROW_MTU_BYTES = 1280;

/** Reports of a trunk, one per second, after which its first MTU probes have been answered. */
const MTU_KNOWN_REPORTS = 5;

/** How long an unneeded trunk that is down is dialled before it is closed. */
const GIVE_UP_MS = 30_000;

/** The stream and subscription to which a conversation's media belongs. */
export interface Binding {
  readonly stream: CarriedStream;
  readonly subscription: number;
  readonly mediaClass: MediaClass;
  flowing: boolean;
}

export interface TrunkListener {
  onMessage(peer: string, message: TrunkControlMessage): void;
  onMedia(peer: string, binding: Binding, frame: Buffer): void;
  /** Media of an unknown conversation, usually the tail of one that has ended. */
  onStray(): void;
  onUp(peer: string): void;
  onLost(peer: string, reason: string): void;
  onBadMessage(peer: string, error: Error): void;
  /** The path MTU to the peer is below IPv6's minimum. Called once, until the MTU rises again. */
  onNarrowPath(peer: string, mtuBytes: number): void;
}

interface PeerState {
  trunk: RelayTrunk;
  /** Written already, so that nothing that cannot be written waits. */
  waiting: { type: string; bytes: Buffer }[];
  readonly bindings: Map<number, Binding>;
  /** Subscriptions over this trunk in both directions; while there are any, it is in use. */
  uses: number;
  /** Since when the trunk has been neither needed nor up, ms; Infinity while it is. */
  idleSinceMs: number;
  readonly window: LinkWindow;
  isNarrow: boolean;
  rates: { atMs: number; sentBytes: number; receivedBytes: number };
}

/** The trunks of this node by peer. Queues messages until a trunk is up, and maps conversations to streams. */
export class TrunkDirectory {
  readonly #trunks: RelayTrunks;
  readonly #listener: TrunkListener;
  readonly #peers = new Map<string, PeerState>();
  #kept = new Set<string>();
  /** Window over which reports average measurements, ms. */
  windowMs = 30_000;

  constructor(trunks: RelayTrunks, listener: TrunkListener) {
    this.#trunks = trunks;
    this.#listener = listener;
    trunks.on('trunk', (trunk) => this.#adopt(trunk));
  }

  dial(hop: Hop): PeerState {
    return this.#adopt(this.#trunks.dial(hop));
  }

  trunk(peer: string): RelayTrunk | undefined {
    return this.#peers.get(peer)?.trunk;
  }

  /** Sends the message once the trunk is up; dials if there is no trunk. @throws Error when there are too many peers already */
  sendTo(hop: Hop, message: TrunkControlMessage): void {
    if (!this.#peers.has(hop.node) && this.#peers.size >= MAX_PEERS)
      throw new Error(`${hop.node} is not dialled for ${message.type}: there are ${MAX_PEERS} peers already`);
    this.#send(this.dial(hop), message);
  }

  /** False when there is no trunk to the peer. */
  send(peer: string, message: TrunkControlMessage): boolean {
    const state = this.#peers.get(peer);
    if (!state) return false;
    this.#send(state, message);
    return true;
  }

  bind(peer: string, conversation: number, binding: Binding): void {
    this.#peers.get(peer)?.bindings.set(conversation, binding);
  }

  unbind(peer: string, conversation: number): void {
    const state = this.#peers.get(peer);
    state?.bindings.delete(conversation);
    state?.trunk.closeConversation(conversation);
  }

  /** Sets the trunks to keep up whether or not a stream uses them: to measure links, and for fast reroute to a backup. */
  keep(hops: Hop[]): void {
    this.#kept = new Set(hops.map(({ node }) => node));
    for (const hop of hops) this.dial(hop);
  }

  /** Closes trunks that are down and not needed here. A trunk that is up stays, since the peer wants it. */
  tidy(nowMs: number): void {
    for (const [peer, state] of this.#peers) {
      const needed = state.uses > 0 || this.#kept.has(peer) || state.trunk.state === 'up';
      if (needed) state.idleSinceMs = Infinity;
      else if (state.idleSinceMs === Infinity) state.idleSinceMs = nowMs;
      else if (nowMs - state.idleSinceMs >= GIVE_UP_MS) state.trunk.close();
    }
  }

  /** Adds or removes one subscription over the trunk to this peer. */
  use(peer: string, change: 1 | -1): void {
    const state = this.#peers.get(peer);
    if (!state) return;
    const before = state.uses > 0;
    state.uses = Math.max(0, state.uses + change);
    if (before !== state.uses > 0) state.trunk.setInUse(state.uses > 0);
  }

  quality(peer: string): { rttMs: number; lossPercent: number } {
    const stats = this.#peers.get(peer)?.trunk.stats();
    return { rttMs: Math.max(0, stats?.rttMs ?? 0), lossPercent: stats?.lossInPercent ?? 0 };
  }

  /** Rates are since the last call; the other figures are averaged over `windowMs`. */
  reports(nowMs: number): LinkReport[] {
    return [...this.#peers.values()].map((state) => {
      const stats = state.trunk.stats();
      const seconds = Math.max(0.001, (nowMs - state.rates.atMs) / 1000);
      const kbps = (bytes: number, before: number) => Math.max(0, ((bytes - before) * 8) / 1000 / seconds);
      const sample = {
        rttMs: Math.max(0, stats.rttMs),
        jitterMs: Math.max(0, stats.jitterMs),
        lossPercent: Math.min(100, Math.max(0, stats.lossOutPercent)),
      };
      const measured = state.trunk.state === 'up' ? state.window.add(sample, nowMs, this.windowMs) : sample;
      const report: LinkReport = {
        peer: state.trunk.peer,
        state: linkState(stats),
        ...measured,
        sendKbps: kbps(stats.sentBytes, state.rates.sentBytes),
        recvKbps: kbps(stats.receivedBytes, state.rates.receivedBytes),
        ...(stats.mtuBytes > 0 && { mtuBytes: stats.mtuBytes }),
      };
      this.#watchMtu(state, stats.mtuBytes);
      state.rates = { atMs: nowMs, sentBytes: stats.sentBytes, receivedBytes: stats.receivedBytes };
      return report;
    });
  }

  /** Frames dropped by all trunks, by reason, each since its trunk last came up. */
  droppedMedia(): Record<string, number> {
    const dropped: Record<string, number> = {};
    for (const { trunk } of this.#peers.values()) {
      const { oversize, association } = trunk.stats();
      add('too-large', oversize, dropped);
      if (!association) continue;
      const { queues, windowFull, arq, reassembly } = association;
      add('overdue', sum(queues.overdue), dropped);
      add('crowded-out', sum(queues.evicted), dropped);
      add('broken-chain', sum(queues.broken), dropped);
      add('window-full', windowFull, dropped);
      add('abandoned', arq.abandoned, dropped);
      add('incomplete', reassembly.incomplete + reassembly.refused, dropped);
    }
    return dropped;
  }

  #watchMtu(state: PeerState, mtuBytes: number): void {
    const isNarrow = mtuBytes > 0 && mtuBytes < NARROW_MTU_BYTES;
    // Until the first probes are answered the MTU is the base value, not a measurement.
    if (isNarrow && !state.isNarrow && state.window.count >= MTU_KNOWN_REPORTS) {
      state.isNarrow = true;
      this.#listener.onNarrowPath(state.trunk.peer, mtuBytes);
    } else if (!isNarrow && mtuBytes > 0) state.isNarrow = false;
  }

  /** @throws TrunkControlMessageError when it is too large; the caller answers for what it passes on */
  #send(state: PeerState, message: TrunkControlMessage): void {
    const { trunk } = state;
    const bytes = Buffer.from(encodeTrunkControlMessage(message));
    if (trunk.state === 'up') return this.#transmit(trunk, message.type, bytes);
    if (state.waiting.length < MAX_WAITING) state.waiting.push({ type: message.type, bytes });
    else
      this.#listener.onBadMessage(trunk.peer, new Error(`${message.type} dropped: ${MAX_WAITING} messages wait for the trunk`));
  }

  #transmit(trunk: RelayTrunk, type: string, bytes: Buffer): void {
    if (!trunk.sendControl(bytes))
      this.#listener.onBadMessage(trunk.peer, new Error(`${type} dropped: the peer does not take messages`));
  }

  #adopt(trunk: RelayTrunk): PeerState {
    const known = this.#peers.get(trunk.peer);
    if (known?.trunk === trunk) return known;
    const state: PeerState = {
      trunk,
      waiting: known?.waiting ?? [],
      bindings: known?.bindings ?? new Map<number, Binding>(),
      uses: known?.uses ?? 0,
      idleSinceMs: Infinity,
      window: known?.window ?? new LinkWindow(),
      isNarrow: known?.isNarrow ?? false,
      rates: { atMs: 0, sentBytes: 0, receivedBytes: 0 },
    };
    this.#peers.set(trunk.peer, state);
    trunk.onControl = (message) => this.#onControl(trunk.peer, message);
    trunk.onMedia = (conversation, payload) => {
      const binding = state.bindings.get(conversation);
      if (binding) this.#listener.onMedia(trunk.peer, binding, payload);
      else this.#listener.onStray();
    };
    trunk.on('up', () => this.#onUp(state));
    trunk.on('lost', (reason) => this.#onLost(state, reason));
    trunk.on('closed', () => this.#onLost(state, 'closed'));
    if (state.uses > 0) trunk.setInUse(true);
    if (trunk.state === 'up') this.#onUp(state);
    return state;
  }

  #onUp(state: PeerState): void {
    const { waiting } = state;
    state.waiting = [];
    state.window.clear();
    for (const { type, bytes } of waiting) this.#transmit(state.trunk, type, bytes);
    this.#listener.onUp(state.trunk.peer);
  }

  #onLost(state: PeerState, reason: string): void {
    state.waiting = [];
    this.#listener.onLost(state.trunk.peer, reason);
    // A lost trunk reconnects by itself; a closed one does not.
    if (state.trunk.state === 'closed' && this.#peers.get(state.trunk.peer) === state) this.#peers.delete(state.trunk.peer);
  }

  #onControl(peer: string, bytes: Buffer): void {
    let message: TrunkControlMessage;
    try {
      message = decodeTrunkControlMessage(bytes);
    } catch (error) {
      if (!(error instanceof TrunkControlMessageError)) throw error;
      this.#listener.onBadMessage(peer, error);
      const { id, code, message: reason } = error;
      if (id !== undefined) this.send(peer, { type: 'refused', id, code, reason });
      return;
    }
    this.#listener.onMessage(peer, message);
  }
}

function linkState(stats: { state: RelayTrunk['state']; lossInPercent: number; lossOutPercent: number }): LinkReport['state'] {
  if (stats.state !== 'up') return 'Down';
  return Math.max(stats.lossInPercent, stats.lossOutPercent) >= DEGRADED_LOSS_PERCENT ? 'Degraded' : 'Up';
}

function sum(byClass: Readonly<Record<string, number>>): number {
  return Object.values(byClass).reduce((total, count) => total + count, 0);
}

function add(reason: string, count: number, to: Record<string, number>): void {
  to[reason] = (to[reason] ?? 0) + count;
}
