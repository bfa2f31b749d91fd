import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type {
  ControlMessage,
  Hello,
  PublishRequest,
  Report,
  Snapshot,
  StreamPolicy,
  StreamState,
  TrackDescription,
} from '@millrace/api';
import { AGENT_PROTOCOL } from '@millrace/api';
import { Problem, realClock, type Clock, type Logger, type Timer } from '@millrace/service';
import { ControlConnection, type ConnectionState } from './connection.ts';
import { Requests, unreachable, type AnswerMessage, type RequestBody } from './requests.ts';
import { SnapshotFile } from './snapshot-file.ts';
import { StreamBook } from './stream-book.ts';

/** The snapshot without its streams. */
export type ChannelSettings = Omit<Snapshot, 'streams'>;
type Program = Extract<ControlMessage, { type: 'snapshot' | 'streams' }>;
type Kick = { session: string; stream?: string | undefined; reason: string };

/** The identity and endpoints that the node sends in `hello`. */
type ChannelIdentity = Pick<
  Hello,
  | 'node'
  | 'podUid'
  | 'build'
  | 'roles'
  | 'region'
  | 'provider'
  | 'isp'
  | 'endpoints'
  | 'nodeKey'
  | 'kernel'
  | 'cpus'
  | 'cpusExclusive'
>;

export interface ChannelOptions {
  /** ws(s)://…/v1/agent of one or more control replicas or services; tried in turn. */
  urls: readonly string[];
  tokenFile: string;
  /** See LinkOptions. */
  caFile?: string | undefined;
  /** Folder for the last snapshot. */
  stateDir: string;
  identity: () => ChannelIdentity;
  logger: Logger;
  clock?: Clock;
  random?: () => number;
  reportIntervalMs?: number;
}

export interface ChannelEvents {
  /** Emitted before the streams of the same snapshot. */
  settings: [ChannelSettings];
  /** Control sent a new state of a stream that this node carries; undefined: the stream is no longer published. */
  stream: [string, StreamState | undefined];
  /** A publication's grant under another key: stream, epoch, grant. */
  granted: [string, number, string];
  /** End this publisher. */
  kick: [Kick];
  state: [ConnectionState];
}

const PUBLISH_WITHIN_MS = 8000;
const POLICY_WITHIN_MS = 8000;
const RESOLVE_WITHIN_MS = 5000;
const ALTERNATIVES_WITHIN_MS = 2000;
/** How long requests wait for a lost connection, which often returns at once. */
const RECONNECT_GRACE_MS = 1000;
const AWAY = 'this node is not connected to control; try again, or another node';
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

/**
 * Keeps a connection to control. While it is lost, the node continues with the last snapshot. At each new connection the node reports its publications and
 * subscriptions again, so that a control replica without state learns them.
 */
export class ControlChannel extends EventEmitter<ChannelEvents> {
  readonly bootId = randomUUID();
  readonly #options: ChannelOptions;
  readonly #clock: Clock;
  readonly #bootedAt: number;
  readonly #requests: Requests;
  readonly #file: SnapshotFile;
  readonly #connection: ControlConnection;
  readonly #book = new StreamBook((stream, state) => this.emit('stream', stream, state));
  readonly #resolving = new Map<string, Promise<StreamState>>();
  #settings: ChannelSettings | undefined;
  /** A program of which pages are still to come. */
  #partial: Program | undefined;
  #reportAt: Timer | undefined;
  /** Runs while a connection is expected back at once. */
  #grace: Timer | undefined;
  #report: (() => Report) | undefined;

  constructor(options: ChannelOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#bootedAt = Math.floor(this.#clock.wall());
    this.#requests = new Requests(this.#clock);
    this.#file = new SnapshotFile({ folder: options.stateDir, clock: this.#clock, logger: options.logger });
    this.#connection = new ControlConnection({
      urls: options.urls,
      tokenFile: options.tokenFile,
      caFile: options.caFile,
      hello: () => this.#hello(),
      clock: this.#clock,
      random: options.random ?? Math.random,
      logger: options.logger,
      onState: (state) => this.emit('state', state),
      onUp: () => this.#connected(),
      onLost: () => this.#expectConnection(),
      onMessage: (message) => this.#receive(message),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** The latest settings: from control or, until control has answered, from the snapshot that the previous process kept. */
  get settings(): ChannelSettings | undefined {
    return this.#settings;
  }

  /** The settings and all streams: a copy, costly where streams are many. */
  get snapshot(): Snapshot | undefined {
    return this.#settings && { ...this.#settings, streams: this.#book.states };
  }

  /** Reads the kept snapshot and dials. Resolves once the kept snapshot, if any, is in place; does not wait for control. */
  async start(): Promise<void> {
    if (this.state !== 'stopped') return;
    this.#connection.start();
    this.#expectConnection();
    const kept = await this.#file.load(this.#options.identity().node);
    if (kept && !this.#settings) {
      this.#takeSnapshot(kept);
      this.#options.logger.info({ version: kept.version }, 'going on with the kept snapshot until control is heard');
    }
    if (this.#connection.state === 'connecting') this.#connection.dial();
    this.#scheduleReport();
  }

  async stop(): Promise<void> {
    this.#connection.stop();
    this.#clock.clearTimeout(this.#reportAt);
    this.#clock.clearTimeout(this.#grace);
    this.#reportAt = this.#grace = undefined;
    this.#requests.failAll('the node stops');
    await this.#file.flush();
  }

  /** Called each second while connected. */
  setReport(report: () => Report): void {
    this.#report = report;
  }

  /** Claims the name. Throws Problem: 409 when another holds it, 403 where policy forbids, 503 without control. */
  async publish(request: PublishRequest): Promise<{ epoch: number; policy: StreamPolicy; grant: string }> {
    const answer = await this.#request({ type: 'publish', ...request }, PUBLISH_WITHIN_MS);
    if (answer.type !== 'published') throw new Problem(502, 'Unexpected answer of control');
    if (!answer.ok) throw refused(answer);
    const { epoch, grant } = answer;
    this.#book.published(request.stream, { epoch, session: request.session, tracks: request.tracks, grant });
    return { epoch, policy: answer.policy, grant };
  }

  /** The state of a stream as control said last. */
  known(stream: string): StreamState | undefined {
    return this.#book.known(stream);
  }

  /** What holds for a stream, published or not. Throws Problem: 503 without control. */
  async policy(stream: string): Promise<StreamPolicy> {
    const answer = await this.#request({ type: 'policy', stream }, POLICY_WITHIN_MS);
    if (answer.type !== 'policy') throw new Problem(502, 'Unexpected answer of control');
    if (!answer.ok) throw refused(answer);
    return answer.policy;
  }

  /** Reports changed track descriptions of a published stream; without a connection, at the next one. */
  describe(stream: string, epoch: number, session: string, tracks: TrackDescription[]): void {
    if (this.#book.described(stream, epoch, session, tracks))
      this.#connection.send({ type: 'describe', stream, epoch, session, tracks });
  }

  /** Releases the name; without a connection, at the next one. */
  unpublish(stream: string, epoch: number, session: string): void {
    this.#book.unpublished(stream, epoch, session);
    this.#connection.send({ type: 'unpublish', stream, epoch, session });
  }

  /**
   * Resolves a stream's origin and subscribes this node to its changes until `release`. Answers at once for a stream that the node carries, and from the last
   * known state while control is unreachable. Throws Problem: 404 when nobody publishes it, 503 without control.
   */
  resolve(stream: string): Promise<StreamState> {
    const known = this.#book.known(stream);
    if (known && (this.#book.carries(stream) || this.state !== 'connected')) {
      this.#book.want(stream);
      return Promise.resolve(known);
    }
    const asked = this.#askOnce(stream);
    if (!known?.hold) return asked;
    // Control asked to hold the stream, so its state is current, but control must learn that this node also has viewers for it.
    asked.catch(() => undefined);
    this.#book.want(stream);
    return Promise.resolve(known);
  }

  #askOnce(stream: string): Promise<StreamState> {
    let running = this.#resolving.get(stream);
    if (!running) {
      running = this.#ask(stream).finally(() => this.#resolving.delete(stream));
      this.#resolving.set(stream, running);
    }
    return running;
  }

  /** The node no longer wants the stream. */
  release(stream: string): void {
    if (this.#book.release(stream)) this.#connection.send({ type: 'release', stream });
  }

  /** Base signalling URLs of other nodes for this client, best first; none without control. */
  async alternatives(kind: 'push' | 'pull', stream: string, user?: string): Promise<string[]> {
    if (this.state !== 'connected') return [];
    const request = { type: 'alternatives' as const, kind, stream, ...(user === undefined ? {} : { user }) };
    try {
      const answer = await this.#request(request, ALTERNATIVES_WITHIN_MS);
      return answer.type === 'alternatives' ? answer.urls : [];
    } catch {
      return [];
    }
  }

  /** Refused at once while control is away, so that the client can try elsewhere. */
  async #request(request: RequestBody, withinMs: number): Promise<AnswerMessage> {
    if (!this.#connection.isUp && !this.#grace) throw unreachable(AWAY);
    return this.#requests.run(request, withinMs, (message) => this.#connection.send(message));
  }

  /** Requests wait a moment for the connection, then they fail. */
  #expectConnection(): void {
    this.#clock.clearTimeout(this.#grace);
    this.#grace = this.#clock.setTimeout(() => {
      this.#grace = undefined;
      this.#requests.failAll(AWAY);
    }, RECONNECT_GRACE_MS);
  }

  async #ask(stream: string): Promise<StreamState> {
    try {
      const answer = await this.#request({ type: 'resolve', stream }, RESOLVE_WITHIN_MS);
      if (answer.type !== 'resolved') throw new Problem(502, 'Unexpected answer of control');
      if (!answer.ok) throw refused(answer);
      this.#book.want(stream);
      this.#book.take(answer.stream);
      return answer.stream;
    } catch (error) {
      const known = this.#book.known(stream);
      if (!known || !(error instanceof Problem) || error.status < 500) throw error;
      this.#book.want(stream);
      return known;
    }
  }

  #hello(): Hello {
    const version = this.#settings && { haveVersion: this.#settings.version, haveDigest: this.#settings.digest };
    return {
      type: 'hello',
      protocol: AGENT_PROTOCOL,
      ...this.#options.identity(),
      bootId: this.bootId,
      bootedAt: this.#bootedAt,
      ...version,
      ...this.#book.said,
    };
  }

  #connected(): void {
    this.#clock.clearTimeout(this.#grace);
    this.#grace = undefined;
    this.#partial = undefined;
    for (const message of this.#requests.waiting()) this.#connection.send(message);
    this.#sendReport();
  }

  #receive(message: ControlMessage): void {
    switch (message.type) {
      case 'welcome':
        return;
      case 'snapshot':
      case 'streams':
        return this.#takeProgram(message);
      case 'more-streams':
        // A page of what this node has not followed from the beginning: control sends it whole when it hears which version the node has.
        if (this.#partial?.version !== message.version) return this.#acknowledge();
        return this.#takeProgram(joined(this.#partial, message));
      case 'published':
      case 'policy':
      case 'resolved':
      case 'alternatives':
        return this.#requests.answered(message);
      case 'granted': {
        const { stream, epoch, session, grant } = message;
        this.#book.granted(stream, epoch, session, grant);
        this.emit('granted', stream, epoch, grant);
        return;
      }
      case 'kick': {
        const { session, stream, reason } = message;
        this.#book.kicked(session);
        this.emit('kick', { session, stream, reason });
        return;
      }
      case 'bye':
        this.#options.logger.info({ reason: message.reason, reconnectAfterMs: message.reconnectAfterMs }, 'control says goodbye');
        return this.#connection.moveOn(message.reconnectAfterMs);
    }
  }

  #takeProgram(program: Program): void {
    this.#partial = program.more ? program : undefined;
    if (program.more) return;
    if (program.type === 'streams') return this.#takeStreams(program);
    const { type: _, more: __, ...snapshot } = program;
    this.#takeSnapshot(snapshot);
    this.#changed();
  }

  #takeSnapshot({ streams, ...settings }: Snapshot): void {
    this.#settings = settings;
    this.emit('settings', settings);
    this.#book.replace(streams);
  }

  #takeStreams(message: Extract<ControlMessage, { type: 'streams' }>): void {
    if (!this.#settings || this.#settings.version !== message.base) return this.#acknowledge();
    this.#settings = { ...this.#settings, version: message.version };
    if (message.full) this.#book.replace(message.changed);
    else {
      for (const state of message.changed) this.#book.take(state);
      for (const stream of message.removed) this.#book.remove(stream);
    }
    this.#changed();
  }

  #changed(): void {
    this.#acknowledge();
    this.#file.keep(() => this.snapshot!);
  }

  #acknowledge(): void {
    this.#connection.send({ type: 'ack', version: this.#settings?.version ?? 0 });
  }

  #scheduleReport(): void {
    if (this.state === 'stopped') return;
    this.#reportAt = this.#clock.setTimeout(() => {
      this.#sendReport();
      this.#scheduleReport();
    }, this.#options.reportIntervalMs ?? 1000);
  }

  #sendReport(): void {
    if (!this.#report || !this.#connection.isUp || this.#connection.unsentBytes > MAX_UNSENT_BYTES) return;
    this.#connection.send({ type: 'report', ...this.#report() });
  }
}

function joined(program: Program, { changed, removed, more }: Extract<ControlMessage, { type: 'more-streams' }>): Program {
  if (program.type === 'snapshot') return { ...program, streams: [...program.streams, ...changed], more };
  return { ...program, changed: [...program.changed, ...changed], removed: [...program.removed, ...removed], more };
}

function refused(answer: {
  status: number;
  title: string;
  detail?: string | undefined;
  retryAfterSeconds?: number | undefined;
}): Problem {
  const { status, title, detail, retryAfterSeconds } = answer;
  return new Problem(status, title, {
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterSeconds === undefined ? {} : { headers: { 'retry-after': String(retryAfterSeconds) } }),
  });
}
