import { randomUUID } from 'node:crypto';
import { canonicalHost, ipFamilyOf, type PlainDescription, type PlainPullRequest, type Srtp } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';
import { WILDCARD } from '../addresses/index.ts';
import { LISTEN_ON_LOOPBACK, listenInfo } from '../media/index.ts';
import type { Relay } from '../relay/index.ts';

export type PublisherPortOpener = Pick<Relay, 'openPublisherPort' | 'closePublisherPort'>;

export interface PlainTransportContext {
  /** IP addresses that media sockets may be bound to. */
  binds: readonly string[];
  rtpPorts: { min: number; max: number };
  relay: PublisherPortOpener;
}

/** The address and the SRTP key in the answer to the client. */
export type ClientFacing = Pick<PlainDescription, 'ip' | 'port' | 'srtp'>;

/** Opens a transport whose port the client uses directly. @throws Problem */
export async function openTransport(
  { binds, rtpPorts }: PlainTransportContext,
  router: types.Router,
  local: string,
  { address, srtp }: PlainPullRequest,
): Promise<types.PlainTransport> {
  // With neither, anybody's first packet would take over the session.
  if (!address && !srtp)
    throw new Problem(400, 'Invalid request body', {
      detail: 'address or srtp: one is needed; say where you send from and receive, or encrypt with keys of your own',
    });
  if (srtp) checkKey(srtp);
  const transport = await router
    .createPlainTransport({
      listenInfo: listenInfo(bindOf(binds, local), { portRange: rtpPorts }),
      rtcpMux: true,
      comedia: address === undefined,
      ...(srtp ? { enableSrtp: true, srtpCryptoSuite: srtp.cryptoSuite } : {}),
    })
    .catch((error: unknown) => Promise.reject(noPort(rtpPorts, error)));
  await transport.connect({
    ...(address ? { ip: canonicalHost(address.ip), port: address.port } : {}),
    ...(srtp ? { srtpParameters: { cryptoSuite: srtp.cryptoSuite, keyBase64: srtp.keyBase64 } } : {}),
  });
  return transport;
}

/**
 * Opens a publisher's transport. Without encryption, its packets reach the media worker through a port of the relay thread, so that nothing is
 * lost when the publisher restarts its sequence numbers; SRTP cannot be restarted under the same key (RFC 3711 section 3.3.1). @throws Problem
 */
export async function openPushTransport(
  context: PlainTransportContext,
  router: types.Router,
  local: string,
  request: PlainPullRequest,
): Promise<{ transport: types.PlainTransport; address: ClientFacing }> {
  if (!request.address || request.srtp) {
    const transport = await openTransport(context, router, local, request);
    return { transport, address: clientFacing(local, transport) };
  }
  const { binds, rtpPorts, relay } = context;
  const transport = await router.createPlainTransport({ listenInfo: LISTEN_ON_LOOPBACK, rtcpMux: true });
  const id = randomUUID();
  const worker = { ip: transport.tuple.localAddress, port: transport.tuple.localPort };
  const { port, from } = await relay
    .openPublisherPort({ id, bind: bindOf(binds, local), ports: rtpPorts, publisher: request.address, worker })
    .catch((error: unknown) => Promise.reject(noPort(rtpPorts, error)));
  // The relay thread may have ended before.
  const close = (): void => void relay.closePublisherPort(id).catch(() => undefined);
  if (transport.closed) close();
  else transport.observer.once('close', close);
  await transport.connect(from);
  return { transport, address: { ip: local, port } };
}

export function clientFacing(ip: string, { srtpParameters, tuple }: types.PlainTransport): ClientFacing {
  return {
    ip,
    port: tuple.localPort,
    ...(srtpParameters ? { srtp: { cryptoSuite: srtpParameters.cryptoSuite, keyBase64: srtpParameters.keyBase64 } } : {}),
  };
}

function bindOf(binds: readonly string[], local: string): string {
  return binds.includes(local) ? local : WILDCARD[ipFamilyOf(local)!];
}

function noPort({ min, max }: { min: number; max: number }, error: unknown): Problem {
  const why = error instanceof Error ? error.message : String(error);
  return new Problem(503, 'No RTP port', {
    detail: `none of ${min}-${max} could be opened (${why})`,
    headers: { 'retry-after': '5' },
  });
}

/** Key plus salt, in bytes (RFC 3711 section 8.2, RFC 7714 section 12). */
const KEY_BYTES = { AES_CM_128_HMAC_SHA1_80: 30, AES_CM_128_HMAC_SHA1_32: 30, AEAD_AES_128_GCM: 28, AEAD_AES_256_GCM: 44 };

function checkKey({ cryptoSuite, keyBase64 }: Srtp): void {
  const bytes = Buffer.from(keyBase64, 'base64').length;
  if (bytes === KEY_BYTES[cryptoSuite]) return;
  throw new Problem(400, 'Invalid request body', {
    detail: `srtp.keyBase64: ${cryptoSuite} needs ${KEY_BYTES[cryptoSuite]} bytes of key and salt, these are ${bytes}; make them e.g. with "openssl rand -base64 ${KEY_BYTES[cryptoSuite]}"`,
  });
}
