/** The server end of the agent channel: it authenticates media nodes, reads their messages and answers their requests. */
export { AgentGateway } from './gateway.ts';
export { TokenReviews, reviewWith } from './token-reviews.ts';
