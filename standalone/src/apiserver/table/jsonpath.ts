import { jsonEqual } from '@millrace/api/validation';
import type { Json } from '@millrace/api/validation';

type Step = (value: unknown) => unknown[];

/**
 * Compiles the part of Kubernetes' JSONPath dialect that printer columns, scale paths and selectable fields use:
 * `.a.b`, `['a.b']`, `[0]`, `[*]` and `[?(@.a.b=="text")]`. Throws an Error with the path when it is anything else.
 */
export function compileJsonPath(path: string): (object: unknown) => Json[] {
  const steps: Step[] = [];
  let rest = path.replace(/^\{(.*)\}$/, '$1').replace(/^\$/, '');
  while (rest !== '') {
    const [taken, step] = nextStep(rest, path);
    steps.push(step);
    rest = rest.slice(taken);
  }
  return (object) => steps.reduce<unknown[]>((values, step) => values.flatMap(step), [object]) as Json[];
}

function nextStep(rest: string, whole: string): [number, Step] {
  const name = /^\.((?:[^.[\]\\]|\\.)+)/.exec(rest);
  if (name) return [name[0].length, property((name[1] ?? '').replace(/\\(.)/g, '$1'))];
  const quoted = /^\[(['"])(.*?)\1\]/.exec(rest);
  if (quoted) return [quoted[0].length, property(quoted[2] ?? '')];
  const index = /^\[(-?\d+)\]/.exec(rest);
  if (index) return [index[0].length, (value) => (Array.isArray(value) ? present(value.at(Number(index[1]))) : [])];
  const every = /^(\[\*\]|\.\*)/.exec(rest);
  if (every)
    return [every[0].length, (value) => (typeof value === 'object' && value !== null ? (Object.values(value) as unknown[]) : [])];
  const filter = /^\[\?\(@((?:\.[\w-]+)+)\s*(==|!=)\s*(?:'([^']*)'|"([^"]*)"|(true|false|-?\d+(?:\.\d+)?))\)\]/.exec(rest);
  if (!filter) throw new Error(`JSONPath ${JSON.stringify(whole)} is not supported at ${JSON.stringify(rest)}`);
  return [filter[0].length, matching(filter)];
}

const present = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [value]);

function property(name: string): Step {
  return (value) =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, name)
      ? present((value as Record<string, unknown>)[name])
      : [];
}

function matching([, path = '', operator, single, double, literal]: RegExpExecArray): Step {
  const read = compileJsonPath(path);
  const wanted = (single ?? double ?? JSON.parse(literal ?? 'null')) as Json;
  return (value) =>
    (Array.isArray(value) ? (value as unknown[]) : []).filter(
      (item) => read(item).some((found) => jsonEqual(found, wanted)) === (operator === '=='),
    );
}
