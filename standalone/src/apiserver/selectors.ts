import type { KubeObject } from './object.ts';
import { valueAt } from './object.ts';
import { badRequest } from './status.ts';

export type Predicate = (object: KubeObject) => boolean;

const labelKey = '[A-Za-z0-9._/-]+';
const setBased = new RegExp(`^(${labelKey})\\s+(in|notin)\\s+\\(([^()]*)\\)$`);
const equality = new RegExp(`^(${labelKey})\\s*(==|!=|=)\\s*([A-Za-z0-9._-]*)$`);

/** Parses a label selector (equality and set based). Throws 400 naming the part that cannot be read. */
export function parseLabelSelector(selector: string): Predicate {
  const tests = splitOutsideParentheses(selector).map(labelRequirement);
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

function labelRequirement(text: string): (labels: Record<string, string>) => boolean {
  const set = setBased.exec(text);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    return (labels) => (Object.hasOwn(labels, key) && values.has(labels[key] ?? '')) === (operator === 'in');
  }
  const equal = equality.exec(text);
  if (equal) {
    const [, key = '', operator, value = ''] = equal;
    return (labels) => (Object.hasOwn(labels, key) && labels[key] === value) === (operator !== '!=');
  }
  const exists = new RegExp(`^(!?)\\s*(${labelKey})$`).exec(text);
  if (!exists) throw badRequest(`unable to parse requirement: ${JSON.stringify(text)} is no label selector requirement`);
  const [, not, key = ''] = exists;
  return (labels) => Object.hasOwn(labels, key) === (not === '');
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Parses a field selector over the fields that a resource supports (`supported`: name → path). Throws 400 for any other field. */
export function parseFieldSelector(selector: string, supported: Record<string, readonly string[]>): Predicate {
  const tests = splitOutsideParentheses(selector).map((text) => {
    const [, field = '', operator, value = ''] = /^([^=!]+?)\s*(==|!=|=)\s*(.*)$/.exec(text) ?? [];
    if (!operator) throw badRequest(`invalid selector: ${JSON.stringify(text)}; can't understand it`);
    const path = supported[field];
    if (!path) throw badRequest(`field label not supported: ${field}`);
    return (object: KubeObject) => (textAt(object, path) === value) === (operator !== '!=');
  });
  return (object) => tests.every((test) => test(object));
}

function textAt(object: KubeObject, path: readonly string[]): string {
  const value = valueAt(object, path);
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value);
}
