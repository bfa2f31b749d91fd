/** Where media nodes dial in: who they are, what they say, what they are told. */
export { AgentGateway } from './gateway.ts';
export { TokenReviews, reviewWith } from './token-reviews.ts';
