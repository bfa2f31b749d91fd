/**
 * RelayMesh: observe (resources → plain data) → plan (pure: routes, attachments, probes) → program (MediaNode.spec) and status.
 */
export { createRelayMeshController } from './controller.ts';
