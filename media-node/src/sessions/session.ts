import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { Clock, Timer } from '@millrace/service';
import type { Ending, PublishedStream, Viewer } from '../media/index.ts';
import type { PullSelection } from '../sdp/index.ts';
import type { PublisherStatus, TrackDescription } from '@millrace/api';

export type Protocol = 'whip' | 'whep' | 'short' | 'rtp';

export type SessionMedia =
  | { kind: 'push'; published: PublishedStream }
  | { kind: 'pull'; viewer: Viewer; selections: readonly PullSelection[] }
  /** The node's offer waits for the viewer's answer. */
  | { kind: 'offered'; viewer: Viewer; selections: readonly PullSelection[]; tracks: readonly TrackDescription[] };

/** `displaced`: the session's media is gone from this node, and the client is about to get a `move` notice. */
export type SessionState = 'pending' | 'connected' | 'interrupted' | 'displaced' | 'closed';

/** The events that a client receives over its event stream. */
export type SessionNotice =
  | { event: 'move'; data: { url: string; signaling: string; reason: string; deadlineAt: string } }
  /** The publisher is gone; the session waits for another publisher of the name. */
  | { event: 'paused'; data: { reason: string } }
  | { event: 'resumed'; data: Record<never, never> }
  | { event: 'ended'; data: { reason: string; final?: true } }
  | { event: 'layers'; data: unknown }
  /** A publisher's health has changed. */
  | { event: 'publisher'; data: PublisherStatus };

interface SessionEvents {
  state: [SessionState];
  notice: [SessionNotice];
  displaced: [reason: string];
  closed: [reason: string];
}

export interface SessionTimeouts {
  /** From creation to a working transport. */
  connectMs: number;
  /** How long a lost transport may stay lost before the session ends; an ICE restart within it continues the session. */
  interruptedMs: number;
}

/** A client's session: one transport and the media that it publishes or plays. */
export class Session extends EventEmitter<SessionEvents> {
  readonly id: string;
  readonly protocol: Protocol;
  readonly stream: string;
  readonly user: string | undefined;
  readonly address: string;
  readonly createdAt: number;
  /** The remote ICE generation; a PATCH for another one is a restart. */
  remoteUfrag = '';
  /** The first MID, which SDP fragments need. */
  firstMid = '0';
  /** Names the ICE generation of both ends (RFC 9725 section 4.3.1). */
  etag = newTag();
  /** Answer or offer as sent, for GET. */
  description = '';
  media: SessionMedia | undefined;
  /** Latest known rates, from the transport's statistics. */
  rates = { receiveBps: 0, sendBps: 0 };
  #state: SessionState = 'pending';
  #timer: Timer | undefined;
  readonly #clock: Clock;
  readonly #timeouts: SessionTimeouts;
  #lastNotice: SessionNotice | undefined;
  #endLabel: string | undefined;

  constructor(options: {
    id?: string;
    protocol: Protocol;
    stream: string;
    user?: string | undefined;
    address: string;
    clock: Clock;
    timeouts: SessionTimeouts;
  }) {
    super();
    this.setMaxListeners(0);
    this.id = options.id ?? newSessionId();
    this.protocol = options.protocol;
    this.stream = options.stream;
    this.user = options.user;
    this.address = options.address;
    this.#clock = options.clock;
    this.#timeouts = options.timeouts;
    this.createdAt = options.clock.wall();
    this.#arm(
      this.#timeouts.connectMs,
      this.protocol === 'rtp' ? 'the client never sent anything' : 'the client never connected',
    );
  }

  get kind(): 'push' | 'pull' {
    return this.media?.kind === 'push' ? 'push' : 'pull';
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Why the session ended, in a few constant words; undefined while it has not. */
  get endLabel(): string | undefined {
    return this.#endLabel;
  }

  /** The publisher's latest health; undefined before the first check, and for viewers. */
  get publisher(): PublisherStatus | undefined {
    return this.media?.kind === 'push' ? this.media.published.status : undefined;
  }

  /** The last notice that still applies, for listeners that join later. */
  get standingNotice(): SessionNotice | undefined {
    return this.#lastNotice;
  }

  get transport(): types.WebRtcTransport | types.PlainTransport | undefined {
    if (!this.media) return undefined;
    return this.media.kind === 'push' ? this.media.published.origin.transport : this.media.viewer.transport;
  }

  /** Binds the session to its media: when either ends, so does the other. */
  bind(media: SessionMedia): void {
    const rebind = this.media !== undefined;
    this.media = media;
    if (rebind) return;
    const end = (reason: string, ending: Ending): void =>
      ending === 'displaced' ? this.#displace(reason) : this.close(reason, ending);
    if (media.kind === 'push') media.published.origin.once('closed', end);
    else {
      media.viewer.once('closed', end);
      media.viewer.on('paused', (reason) => this.notify({ event: 'paused', data: { reason } }));
      media.viewer.on('resumed', () => this.notify({ event: 'resumed', data: {} }));
      media.viewer.on('layers', () => this.notify({ event: 'layers', data: media.viewer.layers() }));
    }
    const transport = this.transport!;
    if (isWebRtc(transport)) this.#follow(transport);
    else transport.on('tuple', () => this.#enter('connected'));
    if (media.kind === 'push' ? media.published.origin.closed : media.viewer.closed) this.close('the media ended');
  }

  /** Plain RTP has no handshake: a client is connected with its first packet. */
  markConnected(): void {
    if (this.#state === 'pending') this.#enter('connected');
  }

  notify(notice: SessionNotice): void {
    if (this.#state === 'closed') return;
    this.#lastNotice = standing(this.#lastNotice, notice);
    this.emit('notice', notice);
  }

  /**
   * @param ending superseded: the client must not reconnect
   * @param label the reason in a few constant words, for metrics, where the reason itself has figures in it
   */
  close(reason: string, ending: 'over' | 'superseded' = 'over', label = reason): void {
    if (this.#state === 'closed') return;
    this.#endLabel = label;
    this.notify({ event: 'ended', data: { reason, ...(ending === 'superseded' ? { final: true } : {}) } });
    this.#state = 'closed';
    this.#clock.clearTimeout(this.#timer);
    if (this.media?.kind === 'push') this.media.published.origin.close(reason);
    else this.media?.viewer.close(reason);
    this.emit('state', 'closed');
    this.emit('closed', reason);
  }

  #follow(transport: types.WebRtcTransport): void {
    const judge = (): void => {
      const { iceState, dtlsState } = transport;
      if (dtlsState === 'failed') this.close('the DTLS handshake failed');
      else if (dtlsState === 'closed') this.close('the client closed the connection');
      else if (iceState === 'disconnected') this.#enter('interrupted');
      else if ((iceState === 'connected' || iceState === 'completed') && dtlsState === 'connected') this.#enter('connected');
    };
    transport.on('icestatechange', judge);
    transport.on('dtlsstatechange', judge);
  }

  /** The client has as much time to leave as after a lost transport. */
  #displace(reason: string): void {
    if (this.#state === 'closed' || this.#state === 'displaced') return;
    this.#state = 'displaced';
    this.#clock.clearTimeout(this.#timer);
    this.#arm(this.#timeouts.interruptedMs, reason);
    this.emit('state', 'displaced');
    this.emit('displaced', reason);
  }

  #enter(state: 'connected' | 'interrupted'): void {
    if (this.#state === 'closed' || this.#state === 'displaced' || this.#state === state) return;
    this.#state = state;
    this.#clock.clearTimeout(this.#timer);
    if (state === 'interrupted') this.#arm(this.#timeouts.interruptedMs, 'the connection was lost');
    this.emit('state', state);
  }

  #arm(ms: number, reason: string): void {
    this.#timer = this.#clock.setTimeout(() => this.close(reason), ms);
    this.#timer.unref();
  }
}

/** The notice that a listener joining after `next` still needs: where to move, that the session ended, or that the stream is paused. */
function standing(before: SessionNotice | undefined, next: SessionNotice): SessionNotice | undefined {
  if (next.event === 'move' || next.event === 'ended') return next;
  if (before?.event === 'move') return before;
  if (next.event === 'paused') return next;
  return next.event === 'resumed' ? undefined : before;
}

export function isWebRtc(transport: types.WebRtcTransport | types.PlainTransport): transport is types.WebRtcTransport {
  return transport.type === 'webrtc';
}

/** 128 random bits: knowing a session's URL is the permission to use it. */
export function newSessionId(): string {
  return randomBytes(16).toString('base64url');
}

export function newTag(): string {
  return `"${randomBytes(6).toString('base64url')}"`;
}
