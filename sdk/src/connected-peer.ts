import { candidateAddresses, type TriedAddress } from './descriptions.ts';
import { MediaProblem } from './media-problem.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Resolves when ICE and DTLS are connected.
 * @throws MediaProblem `IceFailed` or `DtlsFailed` when one fails, or does not complete within 10 s.
 */
export function connectedPeer(peer: RTCPeerConnection, node: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error) => {
      clearTimeout(timeout);
      peer.removeEventListener('connectionstatechange', check);
      signal.removeEventListener('abort', abort);
      if (error) reject(error);
      else resolve();
    };
    const fail = () => done(connectionProblem(node, factsOf(peer)));
    const check = () => {
      if (peer.connectionState === 'connected') done();
      else if (peer.connectionState === 'failed' || peer.connectionState === 'closed') fail();
    };
    const abort = () => done(new Error('closed'));
    const timeout = setTimeout(fail, CONNECT_TIMEOUT_MS);
    peer.addEventListener('connectionstatechange', check);
    signal.addEventListener('abort', abort);
    check();
  });
}

/** What is known about a connection that could not be established. */
export interface ConnectionFacts {
  /** ICE found a working candidate pair. */
  readonly hasPath: boolean;
  readonly nodeAddresses: readonly TriedAddress[];
  readonly ownAddresses: readonly TriedAddress[];
}

function factsOf(peer: RTCPeerConnection): ConnectionFacts {
  return {
    hasPath: peer.iceConnectionState === 'connected' || peer.iceConnectionState === 'completed',
    nodeAddresses: candidateAddresses(peer.remoteDescription?.sdp ?? ''),
    ownAddresses: candidateAddresses(peer.localDescription?.sdp ?? ''),
  };
}

export function connectionProblem(node: string, { hasPath, nodeAddresses, ownAddresses }: ConnectionFacts): MediaProblem {
  if (hasPath)
    return new MediaProblem(
      'DtlsFailed',
      `${node} can be reached, but the encrypted connection to it (DTLS) failed`,
      'A firewall or proxy may drop DTLS packets: try another network. If it fails everywhere, see the log of the node.',
    );
  const tried = nodeAddresses.map(({ address, port, protocol }) => `${bracketed(address)}:${port} (${protocol.toUpperCase()})`);
  const own = [...new Set(ownAddresses.filter(isUdp).map(({ address }) => address))].filter(isShown);
  const from = own.length > 0 ? `, tried from ${own.join(' and ')}` : '';
  return new MediaProblem(
    'IceFailed',
    tried.length > 0 ? `no answer from ${node} at ${tried.join(' or ')}${from}` : `${node} gave no address for media`,
    remedyOf(nodeAddresses),
  );
}

function remedyOf(nodeAddresses: readonly TriedAddress[]): string {
  if (nodeAddresses.length === 0) return 'Set network.announcedAddress of its MediaEdge.';
  if (nodeAddresses.every(({ address }) => isLoopback(address)))
    return (
      'The node announces an address that only its own machine can use, and Firefox not even there: start the network with ' +
      'make up HOST=ADDRESS, an address of that machine, or set network.announcedAddress of the MediaEdge.'
    );
  return (
    'A firewall may drop UDP to this address, or it cannot be reached from this network: allow it, try another network, or check ' +
    'network.announcedAddress of the MediaEdge.'
  );
}

function isUdp({ protocol }: TriedAddress): boolean {
  return protocol === 'udp';
}

/** Browsers replace their addresses by mDNS names on pages that have no camera permission. */
function isShown(address: string): boolean {
  return !address.endsWith('.local') && address !== '0.0.0.0';
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
