// Generated from crds/*.yaml by `npm run generate`. Change it there.

export * from './resource.ts';
export * from './condition.ts';
export * from './media-edge.ts';
export * from './media-node.ts';
export * from './relay-mesh.ts';
export * from './stream-route.ts';
