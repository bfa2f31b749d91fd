import { matchesStreamPattern, type StreamRoute } from '@millrace/api';

/** A pattern that never counts, since another StreamRoute wins for every stream it matches. */
export interface Shadowed {
  readonly pattern: string;
  readonly by: string;
}

/**
 * The patterns of a route that others shadow. For a stream the highest priority wins, then the most specific pattern, then the oldest
 * route, then the first by name: so a pattern is shadowed by a wider or equal one of higher priority, and by an equal one of the same
 * priority in an older route.
 */
export function shadowedPatterns(route: StreamRoute, others: readonly StreamRoute[]): Shadowed[] {
  const rivals = others.filter(({ metadata }) => metadata.name !== route.metadata.name);
  return route.spec.streams.flatMap((pattern) => {
    const winner = rivals.find((rival) => rival.spec.streams.some((other) => shadows(rival, other, route, pattern)));
    return winner ? [{ pattern, by: winner.metadata.name }] : [];
  });
}

function shadows(rival: StreamRoute, wider: string, route: StreamRoute, pattern: string): boolean {
  // The star of the narrower pattern is taken for a character, which only a star of the wider one can match.
  if (rival.spec.priority > route.spec.priority) return matchesStreamPattern(wider, pattern);
  return rival.spec.priority === route.spec.priority && wider === pattern && isOlder(rival, route);
}

function isOlder(a: StreamRoute, b: StreamRoute): boolean {
  const [createdA = '', createdB = ''] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  return createdA === createdB ? a.metadata.name < b.metadata.name : createdA < createdB;
}
