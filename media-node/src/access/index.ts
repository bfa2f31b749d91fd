// Decides who may push or pull a stream: holders of a token signed by control, or anyone where the stream's policy is Public.
export { AccessControl, refusalOf, tokensOf, type Caller, type ShownTokens } from './access-control.ts';
export { PolicyCache } from './policy-cache.ts';
