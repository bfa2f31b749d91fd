import type { IncomingMessage } from 'node:http';
import type http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Hello, NodeMessage } from '@millrace/api';
import {
  AGENT_MAX_MESSAGE_BYTES,
  AGENT_OLDEST_PROTOCOL,
  AGENT_PATH,
  AGENT_PROTOCOL,
  AGENT_SUBPROTOCOL,
  AgentClose,
  MAX_STREAMS_OF_NODE,
} from '@millrace/api';
import { AddressRate, clientAddress, type Logger } from '@millrace/service';
import { WebSocketServer, type WebSocket } from 'ws';
import type { NodeSpec } from '../fleet/index.ts';
import { AgentSession, type AgentContext } from './agent-session.ts';
import { AgentConnection } from './connection.ts';
import { endpointProblem } from './endpoints.ts';
import { PodBudgets } from './message-budget.ts';
import { PodDials } from './pod-dials.ts';
import type { TokenReviews } from './token-reviews.ts';

export interface AgentGatewayOptions extends AgentContext {
  reviews: TokenReviews;
  /** Whether an address is a proxy whose X-Forwarded-For and Forwarded headers count. */
  isTrusted: (address: string) => boolean;
  /** Whether the MediaNodes have been listed, so that an unknown pod is one of no node. */
  knowsNodes: () => boolean;
  logger: Logger;
  random: () => number;
  /** Called when the hello of a node's own pod is refused. */
  onRefused: (node: string, reason: string) => void;
  /** Called once a node has said hello and control has accepted it. */
  onConnected: (session: AgentSession) => void;
  /** Called when its connection has ended, unless another has replaced it. */
  onDisconnected: (session: AgentSession, reason: string) => void;
}

const HELLO_WITHIN_MS = 10_000;
/** How long to wait for the MediaNode of a new pod, ms: the operator creates it right after the pod, and a fast node may dial before. */
const SPEC_WITHIN_MS = 5000;
/** Maximum number of unauthenticated connections: bounds what unauthenticated clients cost. */
const MAX_UNKNOWN = 256;
/** Of those, the ones whose token names no pod of the fleet: strangers cannot keep agents out. A new pod is among them for a moment. */
const MAX_STRANGERS = 32;
/** Dials a second from one client address, and at once: all agents of a cluster may share an address. */
const DIALS_PER_SECOND = 100;
const DIAL_BURST = 2000;
/** How long a refused client may take to read the refusal, ms. */
const REFUSAL_WITHIN_MS = 1000;
/** Time over which nodes that were sent away spread their reconnects, ms. */
const BYE_SPREAD_MS = 2000;

/** Accepts the nodes' WebSockets. A node has one connection: the latest one of its latest process. */
export class AgentGateway {
  readonly #options: AgentGatewayOptions;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: AGENT_MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: () => AGENT_SUBPROTOCOL,
  });
  readonly #sessions = new Map<string, AgentSession>();
  readonly #connections = new Set<AgentConnection>();
  readonly #dials: AddressRate;
  readonly #pods: PodDials;
  readonly #budgets: PodBudgets;
  #unknown = 0;
  #strangers = 0;
  #stopping = false;

  constructor(options: AgentGatewayOptions) {
    this.#options = options;
    this.#dials = new AddressRate({ perSecond: DIALS_PER_SECOND, burst: DIAL_BURST, clock: options.clock });
    this.#pods = new PodDials(options.clock);
    this.#budgets = new PodBudgets(options.clock);
    options.streams.watch((change) => {
      for (const node of new Set([change.before?.node, change.entry?.node])) {
        if (node !== undefined) this.#sessions.get(node)?.streamChanged(change);
      }
    });
    options.fleet.watch((change) => {
      if (change.type === 'presence') this.#heardElsewhere(change.node);
      if (change.type === 'spec-gone') this.#sessions.get(change.node)?.close(AgentClose.forbidden, 'the MediaNode was deleted');
    });
  }

  get connected(): number {
    return this.#sessions.size;
  }

  /** Sends the nodes new grants where the key that signs them has changed, or a new one lasts longer. */
  renewGrants(): void {
    for (const session of this.#sessions.values()) session.renewGrants();
  }

  session(node: string): AgentSession | undefined {
    return this.#sessions.get(node);
  }

  /** Handles upgrades to the agents' path; refuses all others. */
  attach(server: http.Server): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((err: unknown) => {
        this.#options.logger.error({ err }, 'upgrade failed');
        socket.destroy();
      });
    });
  }

  /** Sends the nodes to another replica, or to the next process at the same address; closes the remaining connections after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const { random, clock } = this.#options;
    for (const session of this.#sessions.values()) {
      session.send({
        type: 'bye',
        reason: 'this replica of control stops',
        reconnectAfterMs: Math.floor(random() * Math.min(BYE_SPREAD_MS, graceMs)),
      });
    }
    const until = clock.now() + graceMs;
    while (this.#connections.size > 0 && clock.now() < until) await new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
    for (const connection of this.#connections)
      connection.close(AgentClose.restart, 'this replica of control has stopped: dial again');
    this.#webSockets.close();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    const client = clientAddress(request.socket.remoteAddress, request.headers, this.#options.isTrusted);
    if (!this.#dials.take(client)) return refuse(socket, 429, 'too many dials from one address: dial more slowly');
    if (path !== AGENT_PATH) return refuse(socket, 404, `agents dial ${AGENT_PATH}`);
    if (this.#stopping) return refuse(socket, 503, 'this replica of control stops: dial again');
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
    if (!offered.includes(AGENT_SUBPROTOCOL)) return refuse(socket, 400, `offer the subprotocol ${AGENT_SUBPROTOCOL}`);
    const token = /^Bearer +([\w.~+/=-]{8,4096}) *$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!token) return refuse(socket, 401, 'send Authorization: Bearer with the projected service-account token');
    const claims = this.#options.reviews.claimsOf(token);
    if (typeof claims === 'string') return refuse(socket, 401, claims);
    const isStranger = this.#options.knowsNodes() && this.#options.fleet.specByPodUid(claims.podUid) === undefined;
    if (this.#unknown >= MAX_UNKNOWN || (isStranger && this.#strangers >= MAX_STRANGERS))
      return refuse(socket, 503, 'too many agents are dialling: try again');

    const leaveUnknown = this.#enterUnknown(isStranger);
    socket.once('close', leaveUnknown);
    const verdict = await this.#options.reviews.check(token);
    if (verdict.verdict !== 'pod') {
      leaveUnknown();
      this.#options.logger.warn({ detail: verdict.detail }, 'agent refused');
      return refuse(socket, verdict.verdict === 'refused' ? 401 : 503, verdict.detail);
    }
    const leavePod = this.#pods.enter(verdict.podUid);
    if (typeof leavePod === 'string') {
      leaveUnknown();
      return refuse(socket, 429, leavePod);
    }
    socket.once('close', leavePod);
    const known = (): void => {
      leaveUnknown();
      leavePod();
    };
    if (socket.destroyed || this.#stopping) {
      known();
      return refuse(socket, 503, 'this replica of control stops: dial again');
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket, verdict.podUid, known));
  }

  /** Counts a connection until the returned function is called for the first time. */
  #enterUnknown(isStranger: boolean): () => void {
    this.#unknown++;
    if (isStranger) this.#strangers++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#unknown--;
      if (isStranger) this.#strangers--;
    };
  }

  #accept(socket: WebSocket, podUid: string, known: () => void): void {
    const { clock, heartbeatMs, logger } = this.#options;
    const log = logger.child({ podUid });
    let session: AgentSession | undefined;
    let hello: Hello | undefined;
    let greeted = false;
    const helloTimer = clock.setTimeout(() => connection.close(AgentClose.helloTimeout, 'say hello first'), HELLO_WITHIN_MS);
    helloTimer.unref();
    const { budget, leave } = this.#budgets.enter(podUid);
    const connection = new AgentConnection({
      socket,
      clock,
      logger: log,
      heartbeatMs,
      budget,
      onMessage: (message) => {
        if (session) return session.handle(message);
        if (greeted) return connection.close(AgentClose.badMessage, 'wait for the welcome after the hello');
        const read = readHello(hello, message);
        if (typeof read === 'string') return connection.close(AgentClose.badMessage, read);
        hello = read;
        if (hello.more) return;
        greeted = true;
        clock.clearTimeout(helloTimer);
        known();
        this.#greet(hello, podUid, connection, log)
          .then((opened) => (session = opened))
          .catch((err: unknown) => {
            log.error({ err }, 'hello failed');
            connection.close(1011, 'internal error: dial again');
          });
      },
      onUnreadable: (message, problem) => {
        if (session) session.unreadable(message, problem);
        else connection.close(AgentClose.badMessage, problem);
      },
      onSpoilt: () => this.#pods.spoilt(podUid),
      onClose: (code, reason) => {
        clock.clearTimeout(helloTimer);
        known();
        leave();
        this.#connections.delete(connection);
        if (session) this.#ended(session, reason || `closed with ${code}`);
      },
    });
    this.#connections.add(connection);
  }

  async #greet(hello: Hello, podUid: string, connection: AgentConnection, logger: Logger): Promise<AgentSession | undefined> {
    const refusal = await this.#refusalOf(hello, podUid);
    if (refusal) {
      logger.warn({ node: hello.node, refusal: refusal.reason }, 'agent refused');
      const own = this.#options.fleet.specByPodUid(podUid)?.name;
      if (own !== undefined) this.#options.onRefused(own, refusal.reason);
      connection.close(refusal.code, refusal.reason);
      return undefined;
    }
    if (connection.closed) return undefined;
    const before = this.#sessions.get(hello.node);
    const log = logger.child({ node: hello.node, bootId: hello.bootId });
    const { clock, fleet, onConnected } = this.#options;
    const connectedAt = Math.max(Math.floor(clock.wall()), (fleet.presence(hello.node)?.connectedAt ?? 0) + 1);
    const session = new AgentSession({ hello, connectedAt, connection, context: this.#options, logger: log });
    this.#sessions.set(hello.node, session);
    if (before) {
      this.#options.programmer.detach(before);
      before.close(AgentClose.replaced, 'the node has a newer connection');
    }
    await session.open();
    log.info({ protocol: hello.protocol, build: hello.build, publications: hello.publications.length }, 'agent connected');
    onConnected(session);
    if (connection.closed) this.#ended(session, 'closed while it was greeted');
    return session;
  }

  async #refusalOf(hello: Hello, podUid: string): Promise<{ code: number; reason: string } | undefined> {
    if (hello.protocol < AGENT_OLDEST_PROTOCOL || hello.protocol > AGENT_PROTOCOL) {
      const spoken = [...new Set<number>([AGENT_OLDEST_PROTOCOL, AGENT_PROTOCOL])].join(' to ');
      return {
        code: AgentClose.protocolUnsupported,
        reason: `protocol ${hello.protocol} is not spoken here, ${spoken} is: update the older side`,
      };
    }
    if (hello.podUid !== podUid) return { code: AgentClose.forbidden, reason: "podUid is not that of the token's pod" };
    const spec = await this.#specOf(podUid);
    if (!spec)
      return { code: AgentClose.forbidden, reason: 'no MediaNode names this pod: dial again when the operator has made it' };
    if (spec.name !== hello.node)
      return { code: AgentClose.forbidden, reason: `this pod is MediaNode ${spec.name}, not ${hello.node}` };
    if (spec.region !== hello.region)
      return { code: AgentClose.forbidden, reason: `MediaNode ${spec.name} is in region ${spec.region}` };
    if (!spec.addresses) {
      const reason = `MediaNode ${spec.name} has no addresses yet: dial again when its pod has some and the operator has written them`;
      return { code: AgentClose.forbidden, reason };
    }
    const problem = endpointProblem(hello.endpoints, spec.addresses);
    if (problem !== undefined) return { code: AgentClose.forbidden, reason: problem };
    const known = this.#options.fleet.presence(hello.node);
    if (known && known.hello.bootId !== hello.bootId && known.hello.bootedAt > hello.bootedAt) {
      return { code: AgentClose.replaced, reason: 'a later process of this node is connected' };
    }
    return undefined;
  }

  /** Waits for a bounded time until the operator and the watch catch up with a pod that has just started: its MediaNode, then its addresses. */
  #specOf(podUid: string): Promise<NodeSpec | undefined> {
    const { fleet, clock } = this.#options;
    const spec = fleet.specByPodUid(podUid);
    if (spec?.addresses) return Promise.resolve(spec);
    return new Promise((resolve) => {
      const finish = (found: NodeSpec | undefined): void => {
        unwatch();
        clock.clearTimeout(timer);
        resolve(found);
      };
      const timer = clock.setTimeout(() => finish(fleet.specByPodUid(podUid)), SPEC_WITHIN_MS);
      const unwatch = fleet.watch((change) => {
        if (change.type === 'spec' && change.spec.podUid === podUid && change.spec.addresses) finish(change.spec);
      });
    });
  }

  /** Closes our connection to the node when it has a later one to another replica. */
  #heardElsewhere(node: string): void {
    const session = this.#sessions.get(node);
    const presence = this.#options.fleet.presence(node);
    if (!session || !presence || presence.connectedAt <= session.connectedAt) return;
    this.#sessions.delete(node);
    this.#options.programmer.detach(session);
    session.close(AgentClose.replaced, `the node has a newer connection, to ${presence.replica}`);
  }

  #ended(session: AgentSession, reason: string): void {
    if (this.#sessions.get(session.node) !== session) return;
    this.#sessions.delete(session.node);
    this.#options.programmer.detach(session);
    this.#options.fleet.setDisconnected(session.node, session.connectedAt);
    this.#options.onDisconnected(session, reason);
  }
}

/** The hello with its next page, or what is wrong with that. */
function readHello(sofar: Hello | undefined, message: NodeMessage): Hello | string {
  if (!sofar) return message.type === 'hello' ? message : 'say hello first, and wait for the welcome';
  if (message.type !== 'holds') return 'send the other pages of the hello before anything else';
  const publications = [...sofar.publications, ...message.publications];
  const subscriptions = [...sofar.subscriptions, ...message.subscriptions];
  if (publications.length > MAX_STREAMS_OF_NODE || subscriptions.length > MAX_STREAMS_OF_NODE)
    return `a node publishes at most ${MAX_STREAMS_OF_NODE} streams, and subscribes to as many`;
  return { ...sofar, publications, subscriptions, more: message.more };
}

/** Answers, and closes the connection soon: a client that keeps its side open would hold it for ever otherwise. */
function refuse(socket: Duplex, status: number, detail: string): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), REFUSAL_WITHIN_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.resume();
  const titles: Record<number, string> = {
    400: 'Bad Request',
    401: 'Unauthorized',
    404: 'Not Found',
    429: 'Too Many Requests',
    503: 'Service Unavailable',
  };
  const title = titles[status] ?? 'Refused';
  const body = JSON.stringify({ type: 'about:blank', title, status, detail });
  const extra = status === 401 ? 'WWW-Authenticate: Bearer\r\n' : status === 503 || status === 429 ? 'Retry-After: 2\r\n' : '';
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${extra}Connection: close\r\n\r\n${body}`,
  );
}
