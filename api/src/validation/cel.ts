import { isIP } from 'node:net';
import { canonicalHost } from '../host.ts';
import { Environment } from '@marcbachmann/cel-js';
import { childSchema, isObject, jsonEqual } from './schema.ts';
import type { Json, Schema, ValidationRule } from './schema.ts';
import { fieldPath, forbidden, invalid, required, typeName } from './field-error.ts';
import type { FieldError } from './field-error.ts';
import { isCidr } from './formats.ts';
import { correlatedItem } from './validate.ts';

type Evaluate = (context: Record<string, unknown>) => unknown;
interface CompiledRule {
  spec: ValidationRule;
  evaluate: Evaluate;
  message?: Evaluate;
  isTransition: boolean;
}
/** A schema node that has rules, or has one below it: branches without rules are not walked. */
interface RuleNode {
  schema: Schema;
  rules: CompiledRule[];
  properties: Map<string, RuleNode>;
  additional?: RuleNode;
  items?: RuleNode;
}

/** The rules of `schema`, parsed once. Throws an Error naming the path and the rule that does not compile. */
export function compileRules(schema: Schema, path = ''): RuleNode | undefined {
  const rules = (schema['x-kubernetes-validations'] ?? []).map((spec, index) => {
    const at = `${path || '<root>'}.x-kubernetes-validations[${index}]`;
    const isTransition = /\boldSelf\b/.test(spec.rule);
    const scope = spec.optionalOldSelf ? withOptionalOldSelf : environment;
    const evaluate = parse(spec.rule, `${at}.rule`, scope);
    return {
      spec,
      evaluate,
      isTransition,
      message: spec.messageExpression ? parse(spec.messageExpression, `${at}.messageExpression`, scope) : undefined,
    };
  });
  const properties = new Map<string, RuleNode>();
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const below = compileRules(property, fieldPath(path, key));
    if (below) properties.set(key, below);
  }
  const additional = isObject(schema.additionalProperties) ? compileRules(schema.additionalProperties, `${path}.*`) : undefined;
  const items = schema.items ? compileRules(schema.items, `${path}[*]`) : undefined;
  if (rules.length === 0 && properties.size === 0 && !additional && !items) return undefined;
  return { schema, rules, properties, additional, items };
}

/** The rules that `value` breaks. Transition rules (those that mention oldSelf) run only where `old` has the same place. */
export function evaluateRules(node: RuleNode | undefined, value: Json | undefined, path: string, old?: Json): FieldError[] {
  if (!node || value === undefined || value === null) return [];
  const unchanged = old !== undefined && jsonEqual(value, old);
  const errors = node.rules.flatMap((rule) =>
    unchanged && !rule.isTransition ? [] : evaluateRule(rule, node.schema, value, path, old),
  );
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      errors.push(...evaluateRules(node.items, item, `${path}[${index}]`, correlatedItem(item, node.schema, old)));
    });
  } else if (isObject(value)) {
    for (const [key, child] of Object.entries(value)) {
      const below = node.properties.get(key) ?? (node.schema.properties?.[key] ? undefined : node.additional);
      errors.push(...evaluateRules(below, child, fieldPath(path, key), isObject(old) ? old[key] : undefined));
    }
  }
  return errors;
}

function evaluateRule(rule: CompiledRule, schema: Schema, value: Json, path: string, old?: Json): FieldError[] {
  const hasOld = old !== undefined && old !== null;
  if (rule.isTransition && !hasOld && !rule.spec.optionalOldSelf) return [];
  const self = toCel(value, schema);
  const before = hasOld ? toCel(old, schema) : undefined;
  const context: Record<string, unknown> = { self, oldSelf: before };
  if (rule.spec.optionalOldSelf) context['oldSelf'] = optionalOf(before);
  const at = path || '<nil>';
  try {
    if (rule.evaluate(context) === true) return [];
  } catch (error) {
    const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return [invalid(at, typeName(value), `${text} evaluating rule: ${rule.spec.message ?? rule.spec.rule}`)];
  }
  return [ruleError(rule, rule.spec.fieldPath ? `${path}${rule.spec.fieldPath}` : at, value, messageOf(rule, context))];
}

function messageOf(rule: CompiledRule, context: Record<string, unknown>): string {
  try {
    const text = rule.message?.(context);
    if (typeof text === 'string' && text.trim() !== '' && !text.includes('\n')) return text;
  } catch {
    // A message that cannot be computed falls back to the static one, as in kube-apiserver.
  }
  return rule.spec.message?.trim() ?? `failed rule: ${rule.spec.rule}`;
}

function ruleError(rule: CompiledRule, field: string, value: Json, message: string): FieldError {
  const shown = isObject(value) || Array.isArray(value) ? typeName(value) : value;
  switch (rule.spec.reason) {
    case 'FieldValueForbidden':
      return forbidden(field, message);
    case 'FieldValueRequired':
      return required(field, message);
    case 'FieldValueDuplicate':
      return { reason: 'FieldValueDuplicate', field, message: `Duplicate value: ${JSON.stringify(shown)}` };
    default:
      return invalid(field, shown, message);
  }
}

const environment = new Environment({
  unlistedVariablesAreDyn: true,
  enableOptionalTypes: true,
  homogeneousAggregateLiterals: false,
})
  .registerFunction('isIP(string): bool', isIpOfKubernetes)
  .registerFunction('isCIDR(string): bool', isCidr)
  .registerFunction('isURL(string): bool', (text: string) => URL.canParse(text))
  .registerFunction(
    'string.find(string): string',
    (text: string, pattern: string) => new RegExp(pattern, 'u').exec(text)?.[0] ?? '',
  )
  .registerFunction('list.sum(): dyn', (list: (number | bigint)[]) =>
    list.reduce((sum, item) => (sum as bigint) + (item as bigint), listZero(list)),
  )
  .registerFunction('list.max(): dyn', (list: (number | bigint)[]) => extreme(list, (a, b) => a > b))
  .registerFunction('list.min(): dyn', (list: (number | bigint)[]) => extreme(list, (a, b) => a < b))
  .registerFunction('list.isSorted(): bool', (list: (number | bigint)[]) =>
    list.every((item, i) => i === 0 || (list[i - 1] ?? item) <= item),
  );
/** What `oldSelf.value()` is has to be told: without a type its comparison with an int is taken for ambiguous. */
const withOptionalOldSelf = environment.clone().registerVariable('oldSelf', 'optional<dyn>');
const none = environment.parse('optional.none()');
const some = environment.parse('optional.of(value)');

/** Kubernetes' IP library takes neither zones nor IPv4 addresses within IPv6 ones. */
function isIpOfKubernetes(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%') && canonicalHost(text).includes(':') === text.includes(':');
}

function optionalOf(value: unknown): unknown {
  return value === undefined ? none({}) : some({ value });
}

function listZero(list: (number | bigint)[]): number | bigint {
  return typeof list[0] === 'number' ? 0 : 0n;
}

function extreme(list: (number | bigint)[], better: (a: number | bigint, b: number | bigint) => boolean): number | bigint {
  const [first, ...rest] = list;
  if (first === undefined) throw new Error('min or max of an empty list');
  return rest.reduce((best, item) => (better(item, best) ? item : best), first);
}

function parse(expression: string, at: string, scope: Environment): Evaluate {
  try {
    const compiled = scope.parse(expression);
    const checked = compiled.check();
    if (!checked.valid) throw new Error(checked.error?.message ?? 'does not type-check');
    return (context) => compiled(context) as unknown;
  } catch (error) {
    const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new Error(`${at}: compilation failed: ${text}: ${expression}`, { cause: error });
  }
}

const keywords = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** The identifier by which CEL rules reach a property (Kubernetes: "Escaping" in the CRD validation rules reference). */
function celIdentifier(key: string): string {
  if (keywords.has(key)) return `__${key}__`;
  return key.replace(/__|[.\-/]/g, (found) => ({ __: '__underscores__', '.': '__dot__', '-': '__dash__' })[found] ?? '__slash__');
}

/** A JSON value as CEL sees it through its schema: integers as int, numbers as double, formats as timestamps and durations. */
function toCel(value: Json, schema: Schema | undefined): unknown {
  if (typeof value === 'number') return schema?.type === 'number' || !Number.isInteger(value) ? value : BigInt(value);
  if (typeof value === 'string') {
    if (schema?.format === 'date-time' || schema?.format === 'date') return new Date(value);
    if (schema?.format === 'duration') return durationOf({ value });
    return value;
  }
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items));
  if (!isObject(value)) return value;
  const out: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    const declared = schema?.properties && Object.hasOwn(schema.properties, key);
    out[declared ? celIdentifier(key) : key] = toCel(child, childSchema(schema, key));
  }
  return out;
}
const durationOf = environment.parse('duration(value)');

export type { RuleNode };
