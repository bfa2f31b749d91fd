/** Which StreamRoute applies to a stream, and the policy that follows from it. */
export { RouteTable } from './table.ts';
export type { RouteRule } from './rule.ts';
