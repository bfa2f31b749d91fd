/**
 * The mesh as the route search sees it: relays are vertices, measured trunks are links.
 * Everything here is plain data, so that equal input gives equal routes.
 */

/** A relay: a media node with the relay role. */
export interface Relay {
  readonly node: string;
  readonly region: string;
  readonly provider: string;
  /** Price of one GB that leaves this node, in cents. */
  readonly priceCentsPerGb: number;
  /** Share of its egress capacity in use, percent; undefined: the relay has reported no load, which does not mean that it is idle. */
  readonly utilizationPercent: number | undefined;
}

/** How a trunk carries media in one direction. */
export interface LinkQuality {
  /** Round trip, the same in both directions. */
  readonly rttMs: number;
  readonly jitterMs: number;
  readonly lossPercent: number;
}

/** Measurements of the trunk between two relays, for each direction: loss often differs between the two. */
export interface Link {
  readonly a: string;
  readonly b: string;
  /** From `a` to `b`. */
  readonly toB: LinkQuality;
  /** From `b` to `a`. */
  readonly toA: LinkQuality;
}

export interface Graph {
  readonly relays: ReadonlyMap<string, Relay>;
  /** For each relay its usable links, ordered by the neighbour's name. */
  readonly neighbours: ReadonlyMap<string, readonly Neighbour[]>;
}

interface Neighbour {
  readonly node: string;
  readonly link: Link;
}

/** Builds the graph; links to unknown relays are left out. */
export function buildGraph(relays: readonly Relay[], links: readonly Link[]): Graph {
  const byName = new Map(relays.map((relay) => [relay.node, relay]));
  const neighbours = new Map<string, Neighbour[]>(relays.map((relay) => [relay.node, []]));
  for (const link of links) {
    if (!byName.has(link.a) || !byName.has(link.b) || link.a === link.b) continue;
    neighbours.get(link.a)?.push({ node: link.b, link });
    neighbours.get(link.b)?.push({ node: link.a, link });
  }
  for (const list of neighbours.values()) list.sort((x, y) => (x.node < y.node ? -1 : x.node > y.node ? 1 : 0));
  return { relays: byName, neighbours };
}

/** The direction of a link in which `sender`, one of its two ends, sends. */
export function qualityFrom(link: Link, sender: string): LinkQuality {
  return link.a === sender ? link.toB : link.toA;
}

/** The name of a link, the same from both ends. */
export function linkKey(a: string, b: string): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}
