/** An in-memory Kubernetes API with server-side apply, watches, optimistic concurrency and fault injection. */
export { MemoryApi } from './memory-api.ts';
export { ApiConnection } from './api-connection.ts';
export type { Faults, Outcome } from './model.ts';
export { ApiOnSockets } from './api-on-sockets.ts';
export { ApiFailure, refused, reset } from './api-answers.ts';
export { rfc3339, type Snapshot, type StoreEvent, type Stored } from './object-store.ts';
export { json, ScriptedServer, status, type Asked, type Script } from './scripted-server.ts';
