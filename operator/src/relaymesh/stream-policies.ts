import { DEFAULT_PATH_POLICY_KEY, pathPolicyKey, type StreamRoute } from '@millrace/api';
import type { Change } from '@millrace/kube';
import type { NamedPolicy } from './model.ts';
import { routeKey } from './plan.ts';

interface RouteFacts {
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  readonly policy: NamedPolicy;
  /** Keys (`routeKey`) of the routes that its active streams take. */
  readonly inUse: ReadonlySet<string>;
}

interface Counted<T> {
  readonly value: T;
  count: number;
}

/** The path policies that the StreamRoutes of one namespace ask for, and the routes that their streams take: all that a mesh needs of them. */
export class StreamPolicies {
  readonly #entries = new Map<string, RouteFacts>();
  readonly #policies = new Map<string, Counted<NamedPolicy>>();
  readonly #inUse = new Map<string, Counted<string>>();

  /** Returns whether the change matters to a mesh: another policy, or another route in use. */
  apply({ type, object }: Change<StreamRoute>): boolean {
    const { name } = object.metadata;
    const before = this.#entries.get(name);
    const after = type === 'deleted' ? undefined : entryOf(object, before);
    let isNews = false;
    if (after) {
      this.#entries.set(name, after);
      isNews = add(this.#policies, after.policy.key, after.policy) || isNews;
      for (const key of after.inUse) isNews = add(this.#inUse, key, key) || isNews;
    } else this.#entries.delete(name);
    if (before) {
      isNews = remove(this.#policies, before.policy.key) || isNews;
      for (const key of before.inUse) isNews = remove(this.#inUse, key) || isNews;
    }
    return isNews;
  }

  /** The default policy and all others, each once, by key. */
  get policies(): readonly NamedPolicy[] {
    const asked = [...this.#policies.values()].map(({ value }) => value).filter(({ key }) => key !== DEFAULT_PATH_POLICY_KEY);
    return [DEFAULT_POLICY, ...asked].sort((x, y) => (x.key < y.key ? -1 : 1));
  }

  /** As far as StreamRoutes show it: each lists only its streams with the most viewers. */
  get inUse(): ReadonlySet<string> {
    return new Set(this.#inUse.keys());
  }
}

const DEFAULT_POLICY: NamedPolicy = {
  key: DEFAULT_PATH_POLICY_KEY,
  policy: 'LowestLatency',
  via: [],
  avoidRegions: [],
  avoidProviders: [],
};

function entryOf({ metadata, spec, status }: StreamRoute, before: RouteFacts | undefined): RouteFacts {
  const { uid, generation } = metadata;
  const isSameSpec = before !== undefined && generation !== undefined && before.uid === uid && before.generation === generation;
  const policy = isSameSpec ? before.policy : policyOf(spec.path);
  const keys = (status?.streams ?? []).flatMap(({ origin, paths }) =>
    (paths ?? [])
      .filter(({ region }) => region !== origin.region)
      .map(({ region }) => routeKey(origin.region, region, policy.key)),
  );
  return { uid, generation, policy, inUse: new Set(keys) };
}

function policyOf(path: StreamRoute['spec']['path']): NamedPolicy {
  const { policy, via, avoid } = path;
  const [avoidRegions, avoidProviders] = [avoid?.regions ?? [], avoid?.providers ?? []];
  return { key: pathPolicyKey(path), policy, via: via ?? [], avoidRegions, avoidProviders };
}

/** Returns true for the first one. */
function add<T>(counts: Map<string, Counted<T>>, key: string, value: T): boolean {
  const known = counts.get(key);
  if (known) known.count++;
  else counts.set(key, { value, count: 1 });
  return !known;
}

/** Returns true for the last one. */
function remove<T>(counts: Map<string, Counted<T>>, key: string): boolean {
  const known = counts.get(key);
  if (!known || --known.count > 0) return false;
  counts.delete(key);
  return true;
}
