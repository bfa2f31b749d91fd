import type { KubeObject } from './object.ts';
import { valueAt } from './object.ts';
import { badRequest } from './status.ts';

export type Predicate = (object: KubeObject) => boolean;

const key = '[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?';
const value = '([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?';
const setBased = new RegExp(`^(?<key>${key})\\s+(?<operator>in|notin)\\s*\\((?<list>[^()]*)\\)$`);
const comparison = new RegExp(`^(?<key>${key})\\s*(?<operator>==|!=|=|<|>)\\s*(?<value>${value})$`);
const existence = new RegExp(`^(?<not>!?)\\s*(?<key>${key})$`);
const wholeValue = new RegExp(`^${value}$`);

type Labels = Record<string, string>;

/** Parses a label selector (equality, set based, comparison). Throws 400 naming the invalid part. */
export function parseLabelSelector(selector: string): Predicate {
  const tests = splitOutsideParentheses(selector).map(labelRequirement);
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

function labelRequirement(text: string): (labels: Labels) => boolean {
  const test = setRequirement(text) ?? comparisonRequirement(text) ?? existenceRequirement(text);
  if (!test) throw badRequest(`unable to parse requirement: ${JSON.stringify(text)} is no label selector requirement`);
  return test;
}

function setRequirement(text: string): ((labels: Labels) => boolean) | undefined {
  const { key = '', operator, list = '' } = setBased.exec(text)?.groups ?? {};
  const values = list.split(',').map((item) => item.trim());
  if (!operator || !values.every((item) => wholeValue.test(item))) return undefined;
  return (labels) => (Object.hasOwn(labels, key) && values.includes(labels[key] ?? '')) === (operator === 'in');
}

function comparisonRequirement(text: string): ((labels: Labels) => boolean) | undefined {
  const { key = '', operator, value = '' } = comparison.exec(text)?.groups ?? {};
  if (!operator) return undefined;
  if (operator !== '<' && operator !== '>')
    return (labels) => (Object.hasOwn(labels, key) && labels[key] === value) === (operator !== '!=');
  if (!/^-?\d+$/.test(value)) return undefined;
  return (labels) => {
    const found = Object.hasOwn(labels, key) && /^-?\d+$/.test(labels[key] ?? '') ? Number(labels[key]) : NaN;
    return operator === '<' ? found < Number(value) : found > Number(value);
  };
}

function existenceRequirement(text: string): ((labels: Labels) => boolean) | undefined {
  const { key, not } = existence.exec(text)?.groups ?? {};
  return key === undefined ? undefined : (labels) => Object.hasOwn(labels, key) === (not === '');
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let [start, depth] = [0, 0];
  for (let at = 0; at <= text.length; at++) {
    if (text[at] === '(') depth += 1;
    else if (text[at] === ')') depth -= 1;
    else if (at === text.length || (text[at] === ',' && depth <= 0)) {
      parts.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  return parts.filter((part) => part !== '');
}

/** Parses a field selector over the fields that a resource supports (`supported`: name → path). Throws 400 for any other field. */
export function parseFieldSelector(selector: string, supported: Record<string, readonly string[]>): Predicate {
  const tests = splitOutsideParentheses(selector).map((text) => {
    const [, name = '', operator, given = ''] = /^([^=!]+)(==|!=|=)(.*)$/.exec(text) ?? [];
    const [field, value] = [name.trim(), given.trim()];
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
