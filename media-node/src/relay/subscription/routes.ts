import type { Hop } from '@millrace/api/trunk';

/** A route upstream: the next hop first, the origin last. */
export interface Route {
  hops: Hop[];
  /** The request that it comes from: when that request changes, so does the route. */
  owner: string;
}

/** The routes of one request for the stream. */
export interface RouteSource {
  owner: string;
  /** From a local pull; takes precedence over downstream nodes. */
  local: boolean;
  path: Hop[];
  backup: Hop[];
}

export function routeKey(hops: readonly Hop[]): string {
  return hops.map((hop) => `${hop.node}@${hop.host}:${hop.port}`).join('>');
}

/** The hops after this node; all hops when this node is not on the path. */
function fromOwnPlace(hops: Hop[], self: string): Hop[] {
  const place = hops.findIndex((hop) => hop.node === self);
  return hops.slice(place + 1);
}

/**
 * Routes in the order to try: paths before backups, those of local pulls before those of downstream nodes. A downstream node's backup is used only
 * when this node is on it. Routes through this node or through a downstream node are loops and are left out.
 */
export function routesFor(self: string, sources: RouteSource[], downstream: ReadonlySet<string>): Route[] {
  const ordered = [...sources.filter((source) => source.local), ...sources.filter((source) => !source.local)];
  const routes: Route[] = [
    ...ordered.map(({ owner, path }) => ({ owner, hops: path })),
    ...ordered.map(({ owner, local, backup }) => ({
      owner,
      hops: local || isOn(backup, self) ? fromOwnPlace(backup, self) : [],
    })),
  ];
  const seen = new Set<string>();
  return routes.filter(({ hops }) => {
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
