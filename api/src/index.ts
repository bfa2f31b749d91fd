/** The contracts that more than one part of Millrace speaks: streams, tokens, the agent channel, control's HTTP API. */
export * from './host.ts';
export * from './stream-name.ts';
export * from './streams.ts';
export * from './pattern-index.ts';
export * from './tokens.ts';
export * from './agent.ts';
export * from './agent-pages.ts';
export * from './control-tls.ts';
export * from './grants.ts';
export * from './node-certificate.ts';
export * from './json-bounds.ts';
export * from './http.ts';
export * from './publisher.ts';
export * from './signaling.ts';
export * from './crds/index.ts';
export * from './path-policy.ts';
export * from './route-precedence.ts';
