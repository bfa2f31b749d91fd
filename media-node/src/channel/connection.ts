import type { ControlMessage, Hello, NodeMessage } from '@millrace/api';
import { AgentClose } from '@millrace/api';
import type { Clock, Logger, Timer } from '@millrace/service';
import { redialAfterMs } from './backoff.ts';
import { ControlLink, type Welcome } from './link.ts';

export type ConnectionState = 'stopped' | 'connecting' | 'connected' | 'disconnected';

export interface ConnectionOptions {
  /** ws(s)://…/v1/agent of control replicas or services, at least one; tried in turn. */
  urls: readonly string[];
  tokenFile: string;
  /** See LinkOptions. */
  caFile?: string | undefined;
  hello: () => Hello;
  clock: Clock;
  random: () => number;
  logger: Logger;
  onState: (state: ConnectionState) => void;
  /** A control has welcomed this node; messages can be sent. Comes after the state. */
  onUp: () => void;
  /** The connection is gone; another one is being dialled. Comes before the state. */
  onLost: () => void;
  onMessage: (message: ControlMessage) => void;
}

/** The current link to a control replica. Dials the next one when the link is lost or control says `bye`. */
export class ControlConnection {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = 'stopped';
  #link: ControlLink | undefined;
  #dialling: ControlLink | undefined;
  #dialAt: Timer | undefined;
  #failures = 0;
  #nextUrl = 0;

  constructor(options: ConnectionOptions) {
    if (options.urls.length === 0) throw new RangeError('controlUrl: at least one ws:// or wss:// URL is needed');
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get isUp(): boolean {
    return this.#link !== undefined;
  }

  get unsentBytes(): number {
    return this.#link?.unsentBytes ?? 0;
  }

  /** From here on it wants to be connected; `dial` begins. */
  start(): void {
    this.#setState('connecting');
  }

  stop(): void {
    this.#setState('stopped');
    this.#options.clock.clearTimeout(this.#dialAt);
    this.#dialAt = undefined;
    const links = [this.#link, this.#dialling];
    this.#link = this.#dialling = undefined;
    for (const link of links) link?.close('the node stops');
  }

  /** Does nothing without a connection. */
  send(message: NodeMessage): void {
    this.#link?.send(message);
  }

  /** Control is about to close: dials another replica and keeps the old link until the new one is welcomed. */
  moveOn(afterMs: number): void {
    this.#nextUrl++;
    if (!this.#dialling) this.#dialAfter(afterMs);
  }

  dial(): void {
    const { urls, tokenFile, caFile, hello, clock, logger } = this.#options;
    clock.clearTimeout(this.#dialAt);
    this.#dialAt = undefined;
    const url = urls[this.#nextUrl % urls.length]!;
    const link: ControlLink = new ControlLink({
      url,
      tokenFile,
      caFile,
      hello,
      clock,
      logger,
      onWelcome: (welcome) => this.#welcomed(link, welcome, url),
      onMessage: (message) => {
        if (link === this.#link) this.#options.onMessage(message);
      },
      onClose: (code, reason, welcomed) => this.#closed(link, code, reason, welcomed),
    });
    this.#dialling = link;
  }

  #welcomed(link: ControlLink, { replica, resumedVersion }: Welcome, url: string): void {
    if (link !== this.#dialling) return;
    const before = this.#link;
    this.#link = link;
    this.#dialling = undefined;
    this.#failures = 0;
    before?.close('a newer connection is up');
    this.#options.logger.info({ url, replica, resumed: resumedVersion !== undefined }, 'connected to control');
    this.#setState('connected');
    this.#options.onUp();
  }

  #closed(link: ControlLink, code: number, reason: string, welcomed: boolean): void {
    const { logger, random, onLost } = this.#options;
    const current = link === this.#link;
    if (!current && link !== this.#dialling) return;
    if (current) {
      this.#link = undefined;
      onLost();
    } else this.#dialling = undefined;
    if (!welcomed) this.#nextUrl++;
    const level = code === AgentClose.protocolUnsupported ? 'error' : 'warn';
    logger[level]({ code, reason, failures: this.#failures }, welcomed ? 'connection to control lost' : 'control not reached');
    if (!this.#link) this.#setState('disconnected');
    // While another dial runs or is due, that one is the reconnect.
    if (this.#dialling || this.#dialAt) return;
    this.#dialAfter(redialAfterMs(this.#failures++, code, random));
  }

  #dialAfter(ms: number): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#dialAt);
    this.#dialAt = clock.setTimeout(() => {
      if (!this.#link) this.#setState('connecting');
      this.dial();
    }, ms);
  }

  #setState(state: ConnectionState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState(state);
  }
}
