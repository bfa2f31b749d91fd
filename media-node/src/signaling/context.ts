import { PlainPullRequest, signalingSessionId, StreamName, type StreamPolicy, type TokenAction } from '@millrace/api';
import {
  clientGroup,
  isHttps,
  parseRequest,
  Problem,
  type AddressRate,
  type Clock,
  type HttpRefusal,
  type Logger,
} from '@millrace/service';
import type { Request } from 'express';
import { decodeJwt } from 'jose';
import type { AnnouncedAddresses } from '../addresses/index.ts';
import { tokensOf, type AccessControl, type Caller, type PolicyCache } from '../access/index.ts';
import type { StreamDirectory, StreamHub } from '../media/index.ts';
import { SdpError } from '../sdp/index.ts';
import type { PublisherPortOpener, Session, SessionRegistry, SessionTimeouts } from '../sessions/index.ts';

export interface IceServer {
  urls: readonly string[];
  username?: string;
  credential?: string;
}

/** What the handlers share. */
export interface SignalingContext {
  /** Name of this node. */
  node: string;
  hub: StreamHub;
  sessions: SessionRegistry;
  access: AccessControl;
  policies: PolicyCache;
  directory: Pick<StreamDirectory, 'settings'> & {
    alternatives(kind: TokenAction, stream: string, user?: string): Promise<string[]>;
  };
  roles: readonly string[];
  region: string;
  iceServers: readonly IceServer[];
  addresses: AnnouncedAddresses;
  /** IP addresses on which plain RTP may listen (`planBinds`). */
  binds: readonly string[];
  rtpPorts: { min: number; max: number };
  relay: PublisherPortOpener;
  /** Limits new sessions by client address. */
  sessionRate: AddressRate;
  /** Limits all requests by client address. */
  requestRate: AddressRate;
  /** Whether an address is a proxy whose X-Forwarded-For and Forwarded headers count. */
  isTrusted: (address: string) => boolean;
  onRefused: (reason: HttpRefusal) => void;
  timeouts: SessionTimeouts;
  logger: Logger;
  clock: Clock;
}

export interface Entry {
  stream: string;
  caller: Caller;
  user: string | undefined;
  address: string;
  /** The `jti` of the caller's token. */
  tokenId: string | undefined;
}

/** A session's id without the node's name; the short forms write `<node>~<id>`. */
export function sessionId(context: Pick<SignalingContext, 'node'>, ref: unknown): string {
  const text = String(ref);
  const prefix = signalingSessionId(context.node, '');
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

export function findSession(context: Pick<SignalingContext, 'node' | 'sessions'>, ref: unknown): Session | undefined {
  return context.sessions.get(sessionId(context, ref));
}

/**
 * Checks a request for a session: its stream, its caller, and the rate of new sessions. A caller without a valid token goes no further where the policy
 * wants one: no offer is read, no other node is looked for, no transport opened.
 * @throws Problem 400, 401, 403, 429, 503
 */
export async function enter(
  context: SignalingContext,
  req: Request,
  act: TokenAction,
  name: unknown,
  bodyToken?: string,
): Promise<Entry> {
  const address = clientGroup(req.ip);
  context.sessionRate.require(address, 'new sessions');
  const stream = StreamName.safeParse(name);
  if (!stream.success)
    throw new Problem(400, 'Invalid stream name', {
      detail: `"${String(name).slice(0, 80)}" ${stream.error.issues[0]!.message}`,
    });
  const caller = await context.access.identify(tokensOf(req, bodyToken), act, stream.data);
  if (caller.kind === 'anonymous') context.access.requirePermission(caller, act, await context.policies.of(stream.data));
  const [user, tokenId] = caller.kind === 'token' ? [caller.user, tokenIdOf(caller.token)] : [];
  return { stream: stream.data, caller, user, address, tokenId };
}

/** @param token a valid media token, which has a `jti` */
function tokenIdOf(token: string): string {
  return decodeJwt(token).jti!;
}

/** What access depends on. */
const Who = PlainPullRequest.pick({ stream: true, token: true }).loose();

/** As `enter`, for a JSON body that is checked as a whole only afterwards: an unauthenticated caller costs no more than that. */
export function enterByBody(context: SignalingContext, req: Request, act: TokenAction): Promise<Entry> {
  const { stream, token } = parseRequest(Who, req.body);
  return enter(context, req, act, stream, token);
}

/**
 * Redirects the client to another node (307) when this node is full or drains.
 * @throws Problem 307 with Location, or 503 with Retry-After when no other node has room
 */
export async function requireRoom(
  context: SignalingContext,
  req: Request,
  act: TokenAction,
  entry: Entry,
  policy?: StreamPolicy,
): Promise<void> {
  const reason = refusal(context, act, policy);
  if (reason === undefined) return;
  const urls = await context.directory.alternatives(act, entry.stream, entry.user).catch(() => [] as string[]);
  // A redirect never takes a token from HTTPS to plain HTTP.
  const [best] = req.secure ? urls.filter(isHttps) : urls;
  if (best === undefined) {
    const why = urls.length === 0 ? 'no other node takes the request' : 'no other node serves HTTPS, by which the request came';
    throw new Problem(503, 'No room', {
      detail: `${reason}, and ${why}; try again later`,
      headers: { 'retry-after': '5' },
    });
  }
  context.logger.info({ stream: entry.stream, act, reason, to: best }, 'client redirected');
  throw new Problem(307, 'Temporary Redirect', { detail: reason, headers: { location: redirectUrl(best, req, entry.caller) } });
}

function refusal(context: SignalingContext, act: TokenAction, policy: StreamPolicy | undefined): string | undefined {
  const self = context.directory.settings?.self;
  if (!context.roles.includes(act)) return `this node does not have the ${act} role`;
  if (self?.cordoned || self?.drain) return 'this node is being drained';
  if (context.sessions.full) return 'this node is full';
  if (act === 'pull' && policy?.playRegions && !policy.playRegions.includes(context.region))
    return `region ${context.region} does not serve this stream`;
  return undefined;
}

/** Clients drop the Authorization header when a redirect leaves the origin (Fetch section 4.4), so the token that counts goes with the URL. */
function redirectUrl(base: string, req: Request, caller: Caller): string {
  const url = new URL(`${base}${req.path}`);
  const query = new URL(req.originalUrl, 'http://node').searchParams;
  for (const [name, value] of query) url.searchParams.append(name, value);
  if (caller.kind === 'token' && req.headers.authorization !== undefined) url.searchParams.set('access_token', caller.token);
  return url.href;
}

/** The response to an unusable session description. */
export function sdpProblem(error: unknown): unknown {
  if (!(error instanceof SdpError)) return error;
  const title = error.status === 406 ? 'Media not acceptable' : 'Unusable session description';
  return new Problem(error.status, title, { detail: error.message, extensions: { line: error.line, remedy: error.remedy } });
}
