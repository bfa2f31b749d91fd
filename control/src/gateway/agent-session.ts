import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  ControlMessage,
  Hello,
  NodeMessage,
  Publication,
  Report,
  StreamReport,
  TokenVerdict,
  TrunkAddress,
} from '@millrace/api';
import { AGENT_PROTOCOL, AgentClose, trunkAddressOf, verifyMediaToken } from '@millrace/api';
import type { Clock, Logger } from '@millrace/service';
import { Problem } from '@millrace/service';
import { nameTaken } from './name-taken.ts';
import type { NodePresence, StreamDirectory } from '../directory/index.ts';
import type { Fleet } from '../fleet/index.ts';
import type { ProgrammedNode, Programmer } from '../snapshot/index.ts';
import type { LiveStreams, StreamChange } from '../streams/index.ts';
import type { SigningKeys } from '../tokens/index.ts';
import type { AgentConnection } from './connection.ts';

type Publish = Extract<NodeMessage, { type: 'publish' }>;
type PolicyRequest = Extract<NodeMessage, { type: 'policy' }>;
type Resolve = Extract<NodeMessage, { type: 'resolve' }>;
type Alternatives = Extract<NodeMessage, { type: 'alternatives' }>;

export interface AgentContext {
  replica: string;
  heartbeatMs: number;
  directory: StreamDirectory;
  fleet: Fleet;
  streams: LiveStreams;
  programmer: Programmer;
  signingKeys: SigningKeys;
  /** Base signalling URLs of other nodes, best first. */
  alternatives: (request: { kind: 'push' | 'pull'; stream: string; user?: string | undefined; node: string }) => string[];
  /** Resolves once an unknown stream counts as nonexistent. */
  settled: () => Promise<void>;
  clock: Clock;
}

/** A publisher whose node has been silent for this long loses its name to another publisher. */
const SUSPECT_MS = 5000;
const MAX_RUNNING = 512;
const WARN_EVERY_MS = 10_000;
/** Streams that a log line names. */
const MAX_NAMED = 5;
const NOT_YOURS = 'another publisher holds the name, or has held it since';
const VERIFIED_AT_ONCE = 100;
const NO_GRANT = 'control does not take the grant of this name any more; publish again';

/** A connected node that has said hello: its publications and subscriptions, and the answers to its requests. */
export class AgentSession implements ProgrammedNode {
  readonly node: string;
  readonly nodeKey: string;
  readonly hello: Hello;
  /** ms since the Unix epoch; orders the connections of a node over all replicas. */
  readonly connectedAt: number;
  readonly #context: AgentContext;
  readonly #connection: AgentConnection;
  readonly #logger: Logger;
  readonly #published = new Map<string, Omit<Publication, 'stream'>>();
  readonly #subscribed: Set<string>;
  #running = 0;
  #isOver = false;
  #announced = false;
  #announcing = false;
  #warnedAt = -Infinity;

  constructor(options: {
    hello: Hello;
    connectedAt: number;
    connection: AgentConnection;
    context: AgentContext;
    logger: Logger;
  }) {
    this.hello = options.hello;
    this.node = options.hello.node;
    this.nodeKey = options.hello.nodeKey;
    this.connectedAt = options.connectedAt;
    this.#context = options.context;
    this.#connection = options.connection;
    this.#logger = options.logger;
    this.#subscribed = new Set(this.hello.subscriptions);
  }

  carries(): Iterable<string> {
    return new Set([...this.#published.keys(), ...this.#subscribed]);
  }

  send(message: ControlMessage): void {
    this.#connection.send(message);
  }

  /** It counts for nothing from now on, though its connection may take a moment to close. */
  close(code: number, reason: string): void {
    this.#isOver = true;
    this.#connection.close(code, reason);
  }

  /** Restores the node's publications in the directory, then sends the node what has changed. */
  async open(): Promise<void> {
    const { programmer, replica, heartbeatMs, signingKeys } = this.#context;
    await signingKeys.whenReady();
    const unfounded = await this.#readPublications();
    await this.#heartbeat(undefined);
    await this.#announce();
    if (this.#connection.closed) return;
    const { resumedVersion } = programmer.attach(this, { version: this.hello.haveVersion, digest: this.hello.haveDigest });
    this.send({
      type: 'welcome',
      protocol: AGENT_PROTOCOL,
      replica,
      heartbeatMs,
      ...(resumedVersion === undefined ? {} : { resumedVersion }),
    });
    programmer.begin(this);
    for (const { stream, session } of unfounded) this.#kick(stream, session, NO_GRANT);
    this.renewGrants();
  }

  get #at(): TrunkAddress {
    return trunkAddressOf(this.hello.endpoints);
  }

  /** Sends the node its grants under the present key, with its present address and the latest end, where they differ. */
  renewGrants(): void {
    const { signingKeys, clock } = this.#context;
    const nowMs = clock.wall();
    for (const [stream, { epoch, session, grant }] of [...this.#published]) {
      if (signingKeys.isCurrent(grant, this.#at, nowMs)) continue;
      const renewed = signingKeys.grant({ stream, epoch, node: this.node, session, at: this.#at }, nowMs);
      this.#published.set(stream, { ...this.#published.get(stream)!, grant: renewed });
      this.send({ type: 'granted', stream, epoch, session, grant: renewed });
    }
  }

  /** Takes those publications of the hello that control has granted to this node. @returns the others */
  async #readPublications(): Promise<Publication[]> {
    const { signingKeys, streams, clock } = this.#context;
    const { node } = this;
    const unfounded: Publication[] = [];
    for (const [index, publication] of this.hello.publications.entries()) {
      // A signature takes about 0.1 ms to check.
      if (index % VERIFIED_AT_ONCE === VERIFIED_AT_ONCE - 1) await nextTurn();
      const { stream, ...rest } = publication;
      const { epoch, session, grant } = rest;
      const verdict = signingKeys.verifyGrant(grant, { stream, epoch, node, session }, clock.wall());
      const holder = streams.get(stream);
      const isHolder = holder?.node === node && holder.epoch === epoch && holder.session === session;
      // To whoever holds the name anyway, an end that passed in silence matters as little as it did before.
      if (verdict === 'good' || (verdict === 'ended' && isHolder)) this.#published.set(stream, rest);
      else unfounded.push(publication);
    }
    if (unfounded.length > 0) {
      const streams = unfounded.slice(0, MAX_NAMED).map(({ stream }) => stream);
      this.#logger.warn({ streams, count: unfounded.length }, 'publications without a valid grant are not announced');
    }
    return unfounded;
  }

  handle(message: NodeMessage): void {
    if (this.#isOver) return;
    switch (message.type) {
      case 'hello':
      case 'holds':
        return this.#connection.close(AgentClose.badMessage, 'hello comes once a connection');
      case 'report':
        return void this.#report(message);
      case 'ack':
        return this.#context.programmer.acknowledged(this, message.version);
      case 'describe':
        return void this.#describe(message);
      case 'unpublish':
        return void this.#unpublish(message.stream, message.epoch, message.session);
      case 'release':
        if (this.#subscribed.delete(message.stream) && !this.#published.has(message.stream)) {
          this.#context.programmer.letGo(this.node, message.stream);
        }
        return;
      case 'publish':
        return this.#answer(message, () => this.#publish(message));
      case 'policy':
        return this.#answer(message, () => this.#policy(message));
      case 'resolve':
        return this.#answer(message, () => this.#resolve(message));
      case 'alternatives':
        return this.#answer(message, () => Promise.resolve(this.#alternatives(message)));
    }
  }

  /** Answers an unreadable request with an error. Ignores any other unknown message, since a node of a later version may send it. */
  unreadable(message: object, problem: string): void {
    const { type, id } = message as { type?: unknown; id?: unknown };
    const now = this.#context.clock.now();
    if (now - this.#warnedAt > WARN_EVERY_MS) {
      this.#warnedAt = now;
      this.#logger.warn({ messageType: type, problem }, 'unreadable message from a node');
    }
    if (!Number.isSafeInteger(id)) return;
    const refusal = {
      id: id as number,
      ok: false as const,
      status: 400,
      title: 'Invalid message',
      detail: problem.slice(0, 1024),
    };
    if (type === 'publish') this.send({ type: 'published', ...refusal });
    if (type === 'resolve') this.send({ type: 'resolved', ...refusal });
    if (type === 'policy') this.send({ type: 'policy', ...refusal });
  }

  /** Handles a stream that this node published: another publisher has its name now, or the directory has lost the entry. */
  streamChanged({ stream, entry, before }: StreamChange): void {
    const mine = this.#published.get(stream);
    if (!mine || this.#isOver) return;
    // A node ends its own earlier publisher by itself once it has accepted the new one.
    if (entry && entry.epoch > mine.epoch && entry.node !== this.node) {
      this.#kick(stream, mine.session, 'another publisher has taken over the name');
    } else if (!entry && before?.epoch === mine.epoch) {
      this.#announced = false;
      void this.#announce();
    }
  }

  async #report(message: Extract<NodeMessage, { type: 'report' }>): Promise<void> {
    const { type: _, ...report } = message;
    await this.#heartbeat({ ...report, streams: report.streams.flatMap((stream) => this.#ownReport(stream)) });
    if (!this.#announced) await this.#announce();
  }

  /** What the node says of a stream counts where control knows that it carries it: as origin, as a node with viewers, or as a relay, which has none. */
  #ownReport(report: StreamReport): StreamReport[] {
    const { fleet, programmer } = this.#context;
    const { stream, role } = report;
    switch (role) {
      case 'origin':
        return this.#published.get(stream)?.epoch === report.epoch ? [report] : [];
      case 'edge': {
        const carries = this.#subscribed.has(stream) || this.#published.has(stream) || programmer.isHeld(this.node, stream);
        return carries ? [report] : [];
      }
      case 'relay':
        return fleet.spec(this.node)?.roles.includes('relay') ? [{ ...report, viewers: 0 }] : [];
    }
  }

  async #heartbeat(report: Report | undefined): Promise<void> {
    const { directory, fleet, replica, clock } = this.#context;
    const { podUid, bootId, bootedAt, build, protocol, roles, region, provider, isp, endpoints, kernel, cpus, cpusExclusive } =
      this.hello;
    const hello = {
      podUid,
      bootId,
      bootedAt,
      build,
      protocol,
      roles,
      region,
      provider,
      isp,
      endpoints,
      kernel,
      cpus,
      cpusExclusive,
    };
    const presence: NodePresence = { node: this.node, replica, connectedAt: this.connectedAt, hello };
    const known = fleet.presence(this.node);
    // When a node reconnects, the load and streams of its last report still apply.
    const kept = known?.hello.bootId === bootId ? { report: known.report, reportedAt: known.reportedAt } : {};
    const heard = report ? { ...presence, report, reportedAt: clock.wall() } : { ...presence, ...kept };
    // This replica learns it directly, even when the directory is unreachable.
    fleet.setPresence(heard);
    await this.#try('heartbeat', () => directory.heartbeat(heard));
  }

  async #announce(): Promise<void> {
    if (this.#announcing) return;
    this.#announcing = true;
    const publications = [...this.#published].map(([stream, publication]) => ({ stream, ...publication }));
    const announcement = { node: this.node, region: this.hello.region, ...this.#at, publications };
    await this.#try('announce', async () => {
      const held = await this.#context.directory.announce(announcement);
      this.#announced = true;
      for (const { stream, session } of held) this.#kick(stream, session, NOT_YOURS);
    });
    this.#announcing = false;
  }

  async #publish({ id, stream, session, token, replaces, tracks }: Publish): Promise<ControlMessage> {
    const { directory, fleet, streams, settled, signingKeys, clock } = this.#context;
    if (fleet.spec(this.node)?.roles.includes('push') !== true)
      throw new Problem(403, 'Not a push node', { detail: `${this.node} has no push role` });
    const rule = streams.ruleOf(stream);
    if (rule?.originRegions && !rule.originRegions.includes(this.hello.region)) {
      throw new Problem(403, 'Region not allowed', { detail: `${stream} may be published in ${rule.originRegions.join(', ')}` });
    }
    const publisher = await this.#publisherOf(token, stream);
    await settled();
    const policy = streams.policyOf(stream);
    // A publisher without a token must not learn whether the name is taken.
    if (!publisher.ok && policy.access.publish === 'Token') throw new Problem(401, 'Unauthorized', { detail: publisher.detail });
    const user = publisher.ok ? publisher.claims.sub : undefined;
    const { region } = this.hello;
    const claim = { stream, node: this.node, region, ...this.#at, session, user, tracks };
    const isLost = (node: string): boolean => node !== this.node && !fleet.isLive(node, SUSPECT_MS);
    let outcome = await directory.publish({ ...claim, takeover: policy.onDuplicate === 'Takeover' && publisher.ok });
    if (!outcome.ok && (outcome.holder.session === replaces || isLost(outcome.holder.node))) {
      outcome = await directory.publish({ ...claim, takeover: true });
    }
    if (!outcome.ok) {
      const silence = fleet.carriers(stream).get(outcome.holder.node)?.silence;
      throw nameTaken(stream, outcome.holder, silence);
    }
    const { entry, replaced } = outcome;
    const grant = signingKeys.grant({ stream, epoch: entry.epoch, node: this.node, session, at: this.#at }, clock.wall());
    this.#published.set(stream, { epoch: entry.epoch, session, tracks, grant });
    streams.put(entry);
    this.#context.programmer.carry(this.node, stream);
    this.#logger.info({ stream, epoch: entry.epoch, session, replaced: replaced?.node }, 'stream published');
    return { type: 'published', id, ok: true, epoch: entry.epoch, policy, grant };
  }

  /** The node's word is not enough: the publisher's own token says who it is and what it may publish. */
  async #publisherOf(token: string | undefined, stream: string): Promise<TokenVerdict> {
    if (token === undefined) return { ok: false, refusal: 'malformed', detail: `a token is needed to publish ${stream}` };
    const { signingKeys, clock } = this.#context;
    return verifyMediaToken(token, signingKeys.publicKeys, { act: 'push', stream, nowMs: clock.wall() });
  }

  async #policy({ id, stream }: PolicyRequest): Promise<ControlMessage> {
    await this.#context.settled();
    return { type: 'policy', id, ok: true, policy: this.#context.streams.policyOf(stream) };
  }

  /** Nothing is awaited between reading the publication and the claim, so that a name released meanwhile is not claimed again. */
  async #describe({ stream, epoch, session, tracks }: Extract<NodeMessage, { type: 'describe' }>): Promise<void> {
    const mine = this.#published.get(stream);
    if (mine?.epoch !== epoch || mine.session !== session) return;
    this.#published.set(stream, { ...mine, tracks });
    const { directory, streams } = this.#context;
    const { region } = this.hello;
    const publication = { stream, node: this.node, region, ...this.#at, session, tracks, epoch };
    await this.#try('describe', async () => {
      const entry = await directory.describe(publication);
      if (entry) streams.put(entry);
      // The directory had lost the name, and has it again with the next report.
      else this.#announced = false;
    });
  }

  async #unpublish(stream: string, epoch: number, session: string): Promise<void> {
    const mine = this.#published.get(stream);
    if (mine?.epoch === epoch && mine.session === session) {
      this.#published.delete(stream);
      if (!this.#subscribed.has(stream)) this.#context.programmer.letGo(this.node, stream);
    }
    await this.#try('unpublish', async () => {
      if (await this.#context.directory.unpublish(stream, epoch, session))
        this.#logger.info({ stream, epoch, session }, 'stream unpublished');
    });
  }

  async #resolve({ id, stream }: Resolve): Promise<ControlMessage> {
    const { directory, streams, programmer, settled } = this.#context;
    let entry = await directory.get(stream);
    if (!entry) {
      await settled();
      entry = await directory.get(stream);
    }
    if (!entry)
      throw new Problem(404, 'No such stream', {
        detail: `nobody publishes ${stream} now; check the name, or try again once its publisher is live`,
        headers: { 'retry-after': '2' },
      });
    streams.put(entry);
    this.#subscribed.add(stream);
    programmer.carry(this.node, stream);
    return {
      type: 'resolved',
      id,
      ok: true,
      stream: programmer.stateOf(this.node, entry),
    };
  }

  #alternatives({ id, kind, stream, user }: Alternatives): ControlMessage {
    return { type: 'alternatives', id, urls: this.#context.alternatives({ kind, stream, user, node: this.node }) };
  }

  #kick(stream: string, session: string, reason: string): void {
    if (this.#published.get(stream)?.session === session) this.#published.delete(stream);
    if (!this.#subscribed.has(stream)) this.#context.programmer.letGo(this.node, stream);
    this.#logger.info({ stream, session, reason }, 'publisher ended');
    this.send({ type: 'kick', session, stream, reason });
  }

  /** Runs a request and turns its failure into an answer. */
  #answer(request: Publish | PolicyRequest | Resolve | Alternatives, run: () => Promise<ControlMessage>): void {
    const refuse = (status: number, title: string, detail?: string, retryAfterSeconds?: number): void => {
      const refusal = {
        ok: false as const,
        status,
        title,
        ...(detail === undefined ? {} : { detail: detail.slice(0, 1024) }),
        ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      };
      if (request.type === 'publish') this.send({ type: 'published', id: request.id, ...refusal });
      else if (request.type === 'resolve') this.send({ type: 'resolved', id: request.id, ...refusal });
      else if (request.type === 'policy') this.send({ type: 'policy', id: request.id, ...refusal });
      else this.send({ type: 'alternatives', id: request.id, urls: [] });
    };
    if (this.#running >= MAX_RUNNING)
      return refuse(429, 'Too many requests', `${MAX_RUNNING} requests of this node are running`, 2);
    this.#running++;
    run()
      .then(
        (answer) => this.send(answer),
        (error: unknown) => {
          if (error instanceof Problem) return refuse(error.status, error.title, error.detail, retryAfterOf(error));
          this.#logger.error({ err: error, request: request.type, stream: request.stream }, 'request from a node failed');
          return refuse(503, 'Stream directory not available', 'try again in a moment', 2);
        },
      )
      .finally(() => this.#running--);
  }

  async #try(what: string, run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
    } catch (err) {
      if (what !== 'heartbeat') this.#announced = false;
      this.#logger.warn({ err, what }, 'stream directory not available');
    }
  }
}

function retryAfterOf({ headers }: Problem): number | undefined {
  const seconds = Number(headers['retry-after'] ?? NaN);
  return Number.isInteger(seconds) ? seconds : undefined;
}
