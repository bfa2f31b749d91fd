/** Where media nodes dial in: who they are, what they say, what they are told. */
export { AgentGateway, type AgentGatewayOptions } from './gateway.ts';
export { TokenReviews, reviewWith, type TokenVerdict, type ReviewToken } from './token-reviews.ts';
export type { AgentSession } from './agent-session.ts';
