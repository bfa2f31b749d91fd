/** What decides which of two StreamRoutes applies, apart from how specific their patterns are. */
export interface RoutePrecedence {
  readonly name: string;
  /** spec.priority: the higher one wins. */
  readonly priority: number;
  /** metadata.creationTimestamp, RFC 3339 in UTC: the lesser string is the earlier time. */
  readonly createdAt: string;
}

/** A StreamRoute and one of its patterns. */
export interface PatternPrecedence {
  readonly route: RoutePrecedence;
  readonly pattern: string;
}

/** An exact name ranks above every pattern with a star; then the number of literal characters decides. */
export function patternSpecificity(pattern: string): number {
  const literal = pattern.replaceAll('*', '').length;
  return pattern.includes('*') ? literal : 1_000_000 + literal;
}

/**
 * The order in which StreamRoutes apply to a stream that both patterns match: the highest priority, then the most specific pattern, then
 * the oldest route, then the first name. Control picks routes by it, and the operator reports conflicts by it.
 * @returns less than 0 when `a` wins, more than 0 when `b` wins
 */
export function comparePatternPrecedence(a: PatternPrecedence, b: PatternPrecedence): number {
  return (
    b.route.priority - a.route.priority ||
    patternSpecificity(b.pattern) - patternSpecificity(a.pattern) ||
    compareAge(a.route, b.route)
  );
}

/** The same for routes whose patterns are equal. */
export function compareRoutePrecedence(a: RoutePrecedence, b: RoutePrecedence): number {
  return b.priority - a.priority || compareAge(a, b);
}

function compareAge(a: RoutePrecedence, b: RoutePrecedence): number {
  return compareText(a.createdAt, b.createdAt) || compareText(a.name, b.name);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
