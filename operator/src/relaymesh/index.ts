/**
 * RelayMesh: observe (resources → plain data) → plan (pure: routes, attachments, probes) → program (MediaNode.spec) and status.
 */
export { createRelayMeshController } from './controller.ts';
export type { RelayMeshDependencies } from './controller.ts';
export { TRUNK_KEY_FIELD, trunkKeySecret } from './trunk-key.ts';
