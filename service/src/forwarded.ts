import type { IncomingHttpHeaders } from 'node:http';
import type { RequestHandler } from 'express';
import { isIP } from 'node:net';
import { canonicalAddress } from './client-address.ts';

/** One hop as a proxy names it: its address, or undefined where the proxy hides it (`unknown`, `_hidden`) or names no address. */
type Hop = string | undefined;

/**
 * Sets `req.ip` to the client's address and `req.protocol` (so `req.secure`) to the scheme that the client used; rate limits, placement, access checks
 * and redirects read them there.
 * @param isTrusted whose forwarding headers are believed
 */
export function identifyClient(isTrusted: (address: string) => boolean): RequestHandler {
  return (req, _res, next) => {
    const ip = clientAddress(req.socket.remoteAddress, req.headers, isTrusted);
    const isEncrypted = 'encrypted' in req.socket && req.socket.encrypted === true;
    const protocol = isEncrypted || cameByHttps(req.socket.remoteAddress, req.headers, isTrusted) ? 'https' : 'http';
    Object.defineProperties(req, { ip: { value: ip, configurable: true }, protocol: { value: protocol, configurable: true } });
    next();
  };
}

/**
 * The address of the client: the rightmost hop that is not a trusted proxy. It is the connection's own address unless that is a trusted proxy.
 * A hidden hop ends the search at the proxy that reported it, because the hops to its left may be forged.
 *
 * Proxies write X-Forwarded-For or Forwarded (RFC 7239). Each passes on the other header as the client sent it, so where both came and
 * name different clients, neither is believed.
 */
export function clientAddress(
  connection: string | undefined,
  headers: IncomingHttpHeaders,
  isTrusted: (address: string) => boolean,
): string {
  const peer = canonicalAddress(connection ?? '') ?? '';
  if (!isTrusted(peer)) return peer;
  const found = [forwardedForHops(headers['x-forwarded-for']), forwardedHops(headers['forwarded'])]
    .filter((hops) => hops.length > 0)
    .map((hops) => rightmostUntrusted(peer, hops, isTrusted));
  const [first = peer, second = first] = found;
  return first === second ? first : peer;
}

/**
 * Whether a trusted proxy says that the request came by HTTPS, at any hop (X-Forwarded-Proto, or `proto` of Forwarded). A client may forge hops to the left,
 * but only towards HTTPS, which makes a server send its token to fewer places.
 */
export function cameByHttps(
  connection: string | undefined,
  headers: IncomingHttpHeaders,
  isTrusted: (address: string) => boolean,
): boolean {
  if (!isTrusted(canonicalAddress(connection ?? '') ?? '')) return false;
  return (
    /(?:^|,)[ \t]*https[ \t]*(?:,|$)/i.test(textOf(headers['x-forwarded-proto'])) ||
    /(?:^|[;,])[ \t]*proto="?https"?[ \t]*(?:[;,]|$)/i.test(textOf(headers['forwarded']))
  );
}

function rightmostUntrusted(peer: string, hops: readonly Hop[], isTrusted: (address: string) => boolean): string {
  let address = peer;
  for (let i = hops.length - 1; i >= 0 && isTrusted(address); i--) {
    const hop = hops[i];
    if (hop === undefined) break;
    address = hop;
  }
  return address;
}

/** Hops of X-Forwarded-For, the client's first. Empty list elements count for nothing (RFC 9110 section 5.6.1). */
export function forwardedForHops(header: string | string[] | undefined): Hop[] {
  return textOf(header)
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map(nodeAddress);
}

/**
 * Hops of Forwarded (RFC 7239 section 4), the client's first; an element without `for` is a hidden hop.
 * A header with a fault anywhere is one hidden hop: a quote that a client left open could otherwise hide what a proxy added.
 */
export function forwardedHops(header: string | string[] | undefined): Hop[] {
  const text = textOf(header);
  const hops: Hop[] = [];
  let element: Hop;
  let isEmpty = true;
  const pair = /[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w:[\]-]+)|"((?:[^"\\]|\\.)*)")[ \t]*)?(,|;|$)/y;
  for (;;) {
    const match = pair.exec(text);
    if (!match) return [undefined];
    const [, name, token, quoted, end] = match;
    if (name !== undefined) {
      isEmpty = false;
      if (name.toLowerCase() === 'for') element = nodeAddress(token ?? quoted!.replace(/\\(.)/g, '$1'));
    }
    if (end === ';') continue;
    if (!isEmpty) hops.push(element);
    element = undefined;
    isEmpty = true;
    if (end === '') return hops;
  }
}

/** Node identifier (RFC 7239 section 6): an address with or without port, IPv6 with or without brackets. */
function nodeAddress(text: string): Hop {
  const inner = text.replace(/^"(.*)"$/, '$1').trim();
  const bracketed = /^\[([^\]]*)\](?::[\w.-]+)?$/.exec(inner)?.[1];
  if (bracketed !== undefined) return bracketed.includes(':') ? canonicalAddress(bracketed) : undefined;
  if (isIP(inner) !== 0) return canonicalAddress(inner);
  const colon = inner.indexOf(':');
  return colon > 0 && /^[\w.-]+$/.test(inner.slice(colon + 1)) ? canonicalAddress(inner.slice(0, colon)) : undefined;
}

function textOf(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '');
}
