// StreamRoute → conflicts, references, whether the nodes that carry its streams run it. Its effect on streams is control's (it gives
// each stream its policy) and the mesh's (it plans routes for each path policy in force).
export { createStreamRouteController } from './controller.ts';
