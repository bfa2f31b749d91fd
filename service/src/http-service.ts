import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { CannotListen } from './cannot-listen.ts';
import { readThroughStreams } from './pausable-tls.ts';
import { enforceLimits, HTTP_LIMITS, serverOptions, type HttpLimits, type HttpRefusal } from './http-limits.ts';
import type { ServingCertificate } from './tls/index.ts';

export interface ListenOptions {
  /** An IP address; `::` listens on all addresses of both families, or on IPv4 only if the machine has no IPv6. */
  host: string;
  /** TCP port; 0 picks a free one. */
  port: number;
  /** The setting that chooses the port, for the error when it is taken, e.g. `signalingPort (MILLRACE_SIGNALING_PORT)`. */
  setting?: string;
  /** Makes it HTTPS. While it has no certificate yet, handshakes fail. */
  certificate?: ServingCertificate | undefined;
  /** Overrides of HTTP_LIMITS. */
  limits?: Partial<HttpLimits>;
  /** Trusted proxies, which carry many clients over one address. */
  isTrusted?: (address: string) => boolean;
  /** Called for each connection or request that was refused before it reached the app. */
  onRefused?: (reason: HttpRefusal) => void;
}

export interface HttpService {
  server: http.Server | https.Server;
  /** Where it can be reached from this machine, without a trailing slash. */
  url: string;
  port: number;
  /** Stops accepting, lets running requests end, and after `graceMs` (default 0) ends every socket, upgraded ones too. Safe to call twice. */
  close: (graceMs?: number) => Promise<void>;
}

/** Listens with an express app or a plain listener; rejects with a message naming address and remedy when it cannot. */
export async function serveHttp(app: http.RequestListener, options: ListenOptions): Promise<HttpService> {
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const server = options.certificate
    ? https.createServer(serverOptions(limits), app)
    : http.createServer(serverOptions(limits), app);
  if (server instanceof https.Server) {
    readThroughStreams(server);
    options.certificate?.serve(server);
  }
  enforceLimits(server, limits, {
    isTrusted: options.isTrusted ?? (() => false),
    onRefused: options.onRefused ?? (() => undefined),
  });
  const sockets = trackSockets(server);
  let closed: Promise<void> | undefined;

  server.on('request', (_req, res: http.ServerResponse) => {
    // A kept-alive connection that was busy when close() began is idle from here on: close it instead of waiting for the grace period.
    res.once('close', () => {
      if (closed) setImmediate(() => server.closeIdleConnections());
    });
  });

  await listen(server, options);
  const { port } = server.address() as AddressInfo;

  return {
    server,
    port,
    url: `${options.certificate ? 'https' : 'http'}://${reachableHost((server.address() as AddressInfo).address)}:${port}`,
    close(graceMs = 0) {
      closed ??= closeWithin(server, sockets, graceMs);
      return closed;
    },
  };
}

/** Node forgets a socket at its upgrade (closeAllConnections leaves WebSockets open), so all are remembered here. */
function trackSockets(server: http.Server): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

async function listen(server: http.Server, at: ListenOptions): Promise<void> {
  try {
    await listenAt(server, at.host, at.port);
  } catch (error) {
    const hasNoIpv6 = /^(EAFNOSUPPORT|EADDRNOTAVAIL)$/.test((error as NodeJS.ErrnoException).code ?? '');
    if (at.host !== '::' || !hasNoIpv6) throw new CannotListen(error, at);
    const onIpv4 = { ...at, host: '0.0.0.0' };
    await listenAt(server, onIpv4.host, at.port).catch((cause: unknown) => {
      throw new CannotListen(cause, onIpv4);
    });
  }
}

function listenAt(server: http.Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeWithin(server: http.Server, sockets: Set<Socket>, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const endAll = (): void => {
      for (const socket of sockets) socket.destroy();
    };
    const timer = setTimeout(endAll, graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function reachableHost(host: string): string {
  // One on `::` takes IPv4 too.
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
