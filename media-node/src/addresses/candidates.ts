import type { types } from 'mediasoup';

/**
 * A host candidate for each announced address, the first preferred most (RFC 8445 section 5.1.2). mediasoup itself knows one announced address for a
 * socket; behind a socket that is bound to all addresses there may be several.
 * @param own mediasoup's own candidates: all sockets of a worker have one port
 */
export function announcedCandidates(own: readonly types.IceCandidate[], addresses: readonly string[]): types.IceCandidate[] {
  const [model] = own;
  if (!model) return [];
  return addresses.map((address, index) => ({
    ...model,
    foundation: `${model.foundation}${index}`,
    // The local preference is the second and third byte.
    priority: model.priority - index * 256,
    ip: address,
    address,
  }));
}
