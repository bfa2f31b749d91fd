/** A route upstream, by names: the next hop first, the origin last. */
export interface Route {
  hops: string[];
  /** The request that it comes from: when that request changes, so does the route. */
  owner: string;
}

/** The routes of one request for the stream. */
export interface RouteSource {
  owner: string;
  /** From a local pull; takes precedence over downstream nodes. */
  local: boolean;
  path: string[];
  backup: string[];
}

export function routeKey(hops: readonly string[]): string {
  return hops.join('>');
}

/** The hops after this node; all hops when this node is not on the path. */
function fromOwnPlace(hops: string[], self: string): string[] {
  return hops.slice(hops.indexOf(self) + 1);
}

/**
 * Routes in the order to try: paths before backups, those of local pulls before those of downstream nodes. A downstream node's backup is used only
 * when this node is on it. Routes through this node or through a downstream node are loops and are left out, and so are those that `isOpen` does not take.
 */
export function routesFor(
  self: string,
  sources: RouteSource[],
  downstream: ReadonlySet<string>,
  isOpen: (hops: readonly string[]) => boolean = () => true,
): Route[] {
  const ordered = [...sources.filter((source) => source.local), ...sources.filter((source) => !source.local)];
  const routes: Route[] = [
    ...ordered.map(({ owner, path }) => ({ owner, hops: path })),
    ...ordered.map(({ owner, local, backup }) => ({
      owner,
      hops: local || backup.includes(self) ? fromOwnPlace(backup, self) : [],
    })),
  ];
  const seen = new Set<string>();
  return routes.filter(({ hops }) => {
    if (hops.length === 0 || hops.some((node) => node === self || downstream.has(node)) || !isOpen(hops)) return false;
    const key = routeKey(hops);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
