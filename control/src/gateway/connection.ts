import type { ControlMessage } from '@millrace/api';
import { AGENT_PAGE_ITEMS, AgentClose, jsonExcess, MAX_JSON_DEPTH, NodeMessage, type JsonBounds } from '@millrace/api';
import type { Clock, Logger, Timer } from '@millrace/service';
import type { WebSocket } from 'ws';
import type { MessageBudget } from './message-budget.ts';

export interface ConnectionOptions {
  socket: WebSocket;
  clock: Clock;
  logger: Logger;
  heartbeatMs: number;
  /** Shared by all connections of the pod. */
  budget: MessageBudget;
  onMessage: (message: NodeMessage) => void;
  /** A JSON object that is no valid message of this version. */
  onUnreadable: (message: object, problem: string) => void;
  /** It sent what no node sends, and is closed. */
  onSpoilt: () => void;
  onClose: (code: number, reason: string) => void;
}

/** Above this many unsent bytes messages wait, unwritten. */
const UNSENT_BYTES = 4 * 1024 * 1024;
/** Messages that wait. Those that carry a program share its states, so that they cost little. */
const MAX_WAITING = 20_000;
/** A node that takes nothing for this long, though something waits, is given up. */
const STUCK_MS = 15_000;
const MISSED_HEARTBEATS = 3;
/** Messages that name many streams; all others are far shorter. */
const LONG_TYPES = new Set(['hello', 'holds', 'report']);
const MAX_SHORT_MESSAGE_BYTES = 128 * 1024;
/** What is parsed, and what a schema is given to look through: a page of 1 MiB, and a report of 5,000 streams, hold about half as many values. */
const LONG_BOUNDS: JsonBounds = { values: 400_000, keys: 64, items: AGENT_PAGE_ITEMS, depth: MAX_JSON_DEPTH };
const SHORT_BOUNDS: JsonBounds = { values: 4000, keys: 64, items: 256, depth: MAX_JSON_DEPTH };
/** An unreadable message above this ends the connection. */
const MAX_UNREADABLE_BYTES = 16 * 1024;

/** The WebSocket of a node. Parses messages, bounds rate and memory, and detects dead peers. */
export class AgentConnection {
  readonly #options: ConnectionOptions;
  #heardAt: number;
  #heartbeat: Timer | undefined;
  #resume: Timer | undefined;
  #closed = false;
  readonly #waiting: ControlMessage[] = [];
  /** When the node last took something, or when something began to wait. */
  #takenAt = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { socket, clock } = options;
    this.#heardAt = clock.now();
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('pong', () => (this.#heardAt = clock.now()));
    socket.on('error', (err) => options.logger.info({ err }, 'agent connection'));
    socket.on('close', (code, reason) => this.#ended(code, reason.toString()));
    this.#scheduleHeartbeat();
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(message: ControlMessage): void {
    const { socket, clock } = this.#options;
    if (this.#closed || socket.readyState !== socket.OPEN) return;
    if (this.#waiting.length === 0 && socket.bufferedAmount <= UNSENT_BYTES) return this.#write(message);
    if (this.#waiting.length === 0) this.#takenAt = clock.now();
    this.#waiting.push(message);
    if (this.#waiting.length > MAX_WAITING) this.#giveUp();
  }

  #write(message: ControlMessage): void {
    this.#options.socket.send(JSON.stringify(message), () => this.#taken());
  }

  #taken(): void {
    const { socket, clock } = this.#options;
    this.#takenAt = clock.now();
    while (this.#waiting.length > 0 && socket.bufferedAmount <= UNSENT_BYTES && socket.readyState === socket.OPEN)
      this.#write(this.#waiting.shift()!);
  }

  #giveUp(): void {
    const { socket, logger } = this.#options;
    logger.warn(
      { unsentBytes: socket.bufferedAmount, waiting: this.#waiting.length },
      'the node does not read: connection given up',
    );
    socket.terminate();
  }

  /** Closes with a reason (at most 123 bytes, RFC 6455 section 5.5) that names the remedy. */
  close(code: number, reason: string): void {
    const { socket, clock } = this.#options;
    if (socket.readyState === socket.CLOSED) return;
    socket.close(
      code,
      Buffer.from(reason)
        .subarray(0, 123)
        .toString('utf8')
        .replace(/\ufffd$/, ''),
    );
    // Drops a peer that does not answer the close handshake.
    clock.setTimeout(() => socket.terminate(), 2000).unref();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closed) return;
    this.#heardAt = this.#options.clock.now();
    this.#throttle(data.length);
    const text = isBinary ? '' : data.toString('utf8');
    const excess = jsonExcess(text, LONG_BOUNDS);
    if (excess !== undefined) return this.#spoil(excess);
    const message = parse(text);
    if (typeof message !== 'object' || message === null) {
      return this.#spoil('not a JSON object in a text frame');
    }
    const read = readMessage(message, text, data.length);
    if (typeof read !== 'string') return this.#options.onMessage(read);
    // A small one may be of a later version. To look through a large one in vain is too costly to do it again.
    if (data.length > MAX_UNREADABLE_BYTES) return this.#spoil(read);
    this.#options.onUnreadable(message, read);
  }

  #spoil(problem: string): void {
    this.#options.onSpoilt();
    this.close(AgentClose.badMessage, problem);
  }

  /** Stops reading until the pod's budget allows more: TCP then slows the sender down, and no message is lost. */
  #throttle(bytes: number): void {
    const { budget, clock, socket } = this.#options;
    const waitMs = budget.spend(bytes);
    if (waitMs === 0 || this.#resume) return;
    socket.pause();
    this.#resume = clock.setTimeout(() => {
      this.#resume = undefined;
      socket.resume();
    }, waitMs);
  }

  #scheduleHeartbeat(): void {
    const { socket, clock, heartbeatMs, logger } = this.#options;
    this.#heartbeat = clock.setTimeout(() => {
      if (clock.now() - this.#heardAt > MISSED_HEARTBEATS * heartbeatMs) {
        logger.warn('nothing heard from the node: connection given up');
        socket.terminate();
        return;
      }
      if (this.#waiting.length > 0 && clock.now() - this.#takenAt > STUCK_MS) return this.#giveUp();
      if (socket.readyState === socket.OPEN) socket.ping();
      this.#scheduleHeartbeat();
    }, heartbeatMs);
    this.#heartbeat.unref();
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#heartbeat);
    this.#options.clock.clearTimeout(this.#resume);
    this.#options.onClose(code, reason);
  }
}

/** @returns what is wrong with it, if anything. Never throws */
function readMessage(message: object, text: string, bytes: number): NodeMessage | string {
  if (!LONG_TYPES.has(String((message as { type?: unknown }).type))) {
    if (bytes > MAX_SHORT_MESSAGE_BYTES) return `${bytes} bytes: at most ${MAX_SHORT_MESSAGE_BYTES} in a message of this type`;
    const excess = jsonExcess(text, SHORT_BOUNDS);
    if (excess !== undefined) return excess;
  }
  try {
    const parsed = NodeMessage.safeParse(message);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    return `${issue.path.map(String).join('.')}: ${issue.message}`;
  } catch {
    // The schema gives up in this way where it finds too many errors.
    return 'too many errors';
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
