import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { HTTP_LIMITS, readThroughStreams, serverOptions, type HttpLimits, type Logger } from '@millrace/service';
import { bearerToken } from './auth/authenticator.ts';
import type { TlsFiles } from './auth/certificates.ts';
import type { ApiContext } from './context.ts';
import {
  aggregatedDiscovery,
  aggregatedMediaType,
  groupList,
  oneGroup,
  resourceList,
  wantsAggregated,
} from './discovery/discovery.ts';
import { groupDocument, openApiIndex } from './discovery/openapi.ts';
import { handleResource } from './http/handler.ts';
import { negotiate } from './http/negotiation.ts';
import type { Identity } from './http/request.ts';
import { parseResourcePath } from './http/request.ts';
import { sendJson } from './http/respond.ts';
import { badRequest, StatusError, notAdministrator, unauthorized, unknownPath } from './status.ts';

export interface HttpOptions {
  context: ApiContext;
  tls: TlsFiles;
  identify: (token: string) => Promise<Identity | undefined>;
  logger: Logger;
  /** Limits that differ from HTTP_LIMITS. `stalledMs` does not apply, since a watch without events is not stalled. */
  limits?: Partial<HttpLimits>;
}
const version = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.0+millrace-standalone',
  platform: `${process.platform}/${process.arch}`,
};

/** The HTTPS server of the API: authentication, routing, errors as Status. */
export function createApiServer(options: HttpOptions): Server {
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const tls = { cert: options.tls.cert, key: options.tls.key, ALPNProtocols: ['http/1.1'] };
  const server = createServer({ ...serverOptions(limits), ...tls }, (request, response) => {
    serve(options, request, response).catch((error: unknown) => fail(options.logger, response, error));
  });
  server.maxConnections = limits.connections;
  server.maxHeadersCount = limits.headers;
  readThroughStreams(server);
  return server;
}

async function serve({ context, identify }: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = URL.parse(`https://standalone${request.url ?? '/'}`);
  if (!url || url.host !== 'standalone') throw badRequest(`${JSON.stringify(request.url)} is no path of this server`);
  const { pathname } = url;
  if (/^\/(healthz|readyz|livez)(\/|$)/.test(pathname))
    return void response.writeHead(200, { 'Content-Type': 'text/plain' }).end('ok');
  if (pathname === '/version') return sendJson(response, 200, version);
  const token = bearerToken(request.headers.authorization);
  const identity = token === undefined ? undefined : await identify(token);
  if (!identity) throw unauthorized();
  if (serveDocument(context, request, response, pathname)) return;
  if (!identity.groups.includes('system:masters')) throw notAdministrator(identity.username);
  const path = parseResourcePath(pathname);
  if (!path) throw unknownPath();
  const wanted = negotiate(request.headers.accept);
  await handleResource(context, { path, query: url.searchParams, request, response, identity, wanted });
}

/** Serves discovery and OpenAPI; returns false for other paths. */
function serveDocument({ registry }: ApiContext, request: IncomingMessage, response: ServerResponse, pathname: string): boolean {
  const parts = pathname.split('/').filter(Boolean);
  const [root, group, groupVersion, ...rest] = parts;
  if (pathname.startsWith('/openapi/v3')) {
    const body = parts.length === 2 ? openApiIndex(registry) : groupDocument(registry, parts.slice(2));
    if (!body) throw unknownPath();
    sendJson(response, 200, body);
    return true;
  }
  if ((root !== 'api' && root !== 'apis') || rest.length > 0) return false;
  if (parts.length === 1 && wantsAggregated(request.headers.accept)) {
    const text = JSON.stringify(aggregatedDiscovery(registry, root));
    response.writeHead(200, { 'Content-Type': aggregatedMediaType, Vary: 'Accept' }).end(text);
    return true;
  }
  const body = legacyDiscovery(registry, root, group, groupVersion);
  if (!body) return false;
  sendJson(response, 200, body);
  return true;
}

function legacyDiscovery(
  registry: ApiContext['registry'],
  root: 'api' | 'apis',
  group?: string,
  groupVersion?: string,
): object | undefined {
  if (root === 'api') {
    if (!group) return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    return groupVersion === undefined ? resourceList(registry, '', group) : undefined;
  }
  if (!group) return groupList(registry);
  const found = groupVersion === undefined ? oneGroup(registry, group) : resourceList(registry, group, groupVersion);
  if (!found) throw unknownPath();
  return found;
}

function fail(logger: Logger, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return; // the client went away
  const known = error instanceof StatusError;
  if (!known) logger.error({ err: error }, 'request failed');
  if (response.headersSent) return void response.destroy();
  const status = known
    ? error
    : new StatusError(
        500,
        'InternalError',
        'an error on the server has prevented the request from succeeding; its log says more',
      );
  if (status.code === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  if (status.details?.retryAfterSeconds) response.setHeader('Retry-After', status.details.retryAfterSeconds);
  if (status.code === 413) response.setHeader('Connection', 'close');
  sendJson(response, status.code, status.toJSON());
}
