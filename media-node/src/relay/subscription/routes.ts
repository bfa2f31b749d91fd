import type { Hop } from '@millrace/api/trunk';

/** A way upstream: the next hop first, the origin last. */
export interface Route {
  hops: Hop[];
  /** Whose way it is: it goes when that one changes it. */
  owner: string;
}

/** What one of those who want the stream offers as ways to it. */
export interface RouteSource {
  owner: string;
  /** On this node: its control has the say over those behind it. */
  local: boolean;
  path: Hop[];
  backup: Hop[];
}

export function routeKey(hops: readonly Hop[]): string {
  return hops.map((hop) => `${hop.node}@${hop.host}:${hop.port}`).join('>');
}

/** From this node's own place in a path on; the whole of it for the node that it was made for. */
function fromOwnPlace(hops: Hop[], self: string): Hop[] {
  const place = hops.findIndex((hop) => hop.node === self);
  return hops.slice(place + 1);
}

/**
 * Ways in the order to try: paths before backups, local ones before those of nodes behind this one. A backup made for a node
 * behind is of use only when this node is on it. Ways through this node or through one that subscribes here are loops.
 */
export function routesFor(self: string, sources: RouteSource[], downstream: ReadonlySet<string>): Route[] {
  const ordered = [...sources.filter((source) => source.local), ...sources.filter((source) => !source.local)];
  const ways: Route[] = [
    ...ordered.map(({ owner, path }) => ({ owner, hops: path })),
    ...ordered.map(({ owner, local, backup }) => ({
      owner,
      hops: local || isOn(backup, self) ? fromOwnPlace(backup, self) : [],
    })),
  ];
  const seen = new Set<string>();
  return ways.filter(({ hops }) => {
    if (hops.length === 0 || hops.some((hop) => hop.node === self || downstream.has(hop.node))) return false;
    const key = routeKey(hops);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function isOn(hops: Hop[], node: string): boolean {
  return hops.some((hop) => hop.node === node);
}
