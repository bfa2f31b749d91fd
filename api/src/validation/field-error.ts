import { isObject } from './schema.ts';
import type { Json } from './schema.ts';

/** Cause reasons as metav1.StatusCause names them. */
export type FieldErrorReason =
  | 'FieldValueRequired'
  | 'FieldValueInvalid'
  | 'FieldValueTypeInvalid'
  | 'FieldValueNotFound'
  | 'FieldValueNotSupported'
  | 'FieldValueDuplicate'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany';

/** One reason why an object is refused: which field, and what is wrong with it, in the words that kube-apiserver uses. */
export interface FieldError {
  reason: FieldErrorReason;
  /** Path such as `spec.roles[1]`. */
  field: string;
  /** Text without the path, such as `Invalid value: 5: spec.replicas in body should be less than or equal to 3`. */
  message: string;
}

export function formatFieldError(error: FieldError): string {
  return `${error.field}: ${error.message}`;
}

/** How kube-apiserver prints the offending value: scalars as JSON, containers as JSON text. */
export function showValue(value: Json | undefined): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}

export const required = (field: string, detail = ''): FieldError => ({
  reason: 'FieldValueRequired',
  field,
  message: detail ? `Required value: ${detail}` : 'Required value',
});
export const invalid = (field: string, value: Json | undefined, detail: string): FieldError => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${showValue(value)}: ${detail}`,
});
export const typeInvalid = (field: string, value: Json | undefined, wanted: string): FieldError => ({
  reason: 'FieldValueTypeInvalid',
  field,
  message: `Invalid value: "${typeName(value)}": ${field} in body must be of type ${wanted}: "${typeName(value)}"`,
});
export const notSupported = (field: string, value: Json, supported: Json[]): FieldError => ({
  reason: 'FieldValueNotSupported',
  field,
  message: `Unsupported value: ${showValue(value)}: supported values: ${supported.map(showValue).join(', ')}`,
});
export const duplicate = (field: string, value: Json): FieldError => ({
  reason: 'FieldValueDuplicate',
  field,
  message: `Duplicate value: ${showValue(value)}`,
});
export const forbidden = (field: string, detail: string): FieldError => ({
  reason: 'FieldValueForbidden',
  field,
  message: `Forbidden: ${detail}`,
});
export const tooLong = (field: string, max: number): FieldError => ({
  reason: 'FieldValueTooLong',
  field,
  message: `Too long: may not be more than ${max} bytes`,
});
export const tooMany = (field: string, count: number, max: number): FieldError => ({
  reason: 'FieldValueTooMany',
  field,
  message: `Too many: ${count}: must have at most ${max} items`,
});

export function typeName(value: Json | undefined): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  if (isObject(value)) return 'object';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** `parent` extended by an object key; keys that are no plain field name are bracketed, as kube-apiserver does. */
export function fieldPath(parent: string, key: string): string {
  return parent === '' ? key : `${parent}.${key}`;
}
