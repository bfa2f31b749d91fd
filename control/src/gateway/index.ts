/** Control's end of the agent channel: authenticates media nodes, reads their messages and answers their requests. */
export { AgentGateway } from './gateway.ts';
export { TokenReviews, reviewWith } from './token-reviews.ts';
