/**
 * What a CustomResourceDefinition says about its objects: defaulting, pruning, schema validation and CEL rules, with
 * errors in the words of kube-apiserver. The standalone API server and the generated validators share it.
 */
export { compileCrd, parseCrd } from './crd.ts';
export type { CompiledCrd, CrdManifest, CrdVersion } from './crd.ts';
export * from './field-error.ts';
export { childSchema, isObject, jsonEqual, listMapKey } from './schema.ts';
export type { Json, JsonObject, Schema, ValidationRule } from './schema.ts';
export { applySchemaDefaults, dropNulls, pruneUnknown } from './structure.ts';
export { validateSchema } from './validate.ts';
export { matchesFormat } from './formats.ts';
