import { SignalingError } from './signaling-error.ts';

const ENCRYPTED = new Set(['https:', 'wss:']);

/**
 * Refuses to follow a server from an encrypted connection to one in clear, where anybody on the path could read the token and the session's URL.
 * @param how what leads there, as in "a redirect" @throws SignalingError 502, after which another place may serve
 */
export function requireNoDowngrade(from: string, to: string, how: string): void {
  const [here, there] = [new URL(from), new URL(to)];
  if (!ENCRYPTED.has(here.protocol) || ENCRYPTED.has(there.protocol)) return;
  throw new SignalingError(
    502,
    `${how} of ${here.host} leads from ${here.protocol}// to ${there.protocol}//${there.host}, which is refused: token and session would cross the network in clear; serve that node over HTTPS too`,
  );
}
