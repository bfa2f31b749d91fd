/** Every operation of every listener, once: its reference, its access, and what tests hold the servers to come from here. */
export { CALLERS, callers, meaningOf, verdictOf, type AccessRule, type Caller, type Verdict } from './access.ts';
export { controlService } from './control.ts';
export { consoleService } from './console.ts';
export { mediaNodeService } from './media-node.ts';
export { opsService } from './ops.ts';
export { wireOperations, type WireOperation } from './wire.ts';
export { openApiDocument } from './openapi.ts';
export type { Answer, Operation, Service } from './operation.ts';
