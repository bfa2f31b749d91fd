import type { MediaNode } from '@millrace/api';
import type { Change } from '@millrace/kube';

/** The effect of a change of a MediaNode on StreamRoutes. */
export interface NodeNews {
  /** The node whose desired or acknowledged generation changed. */
  readonly node: string | undefined;
  /** Regions that got their first node or lost their last. */
  readonly regions: readonly string[];
  /** Path policies that got their first node with a route or lost their last one. */
  readonly policies: readonly string[];
  /** The number of regions passed between one and several, or a mesh got its first node or lost its last. */
  readonly concernsAll: boolean;
}

interface Facts {
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  readonly programmedGeneration: number | undefined;
  readonly region: string;
  readonly mesh: string | undefined;
  readonly policies: ReadonlySet<string>;
}

/** Counts the MediaNodes of one namespace by the facts that StreamRoutes depend on. */
export class NodeIndex {
  readonly #facts = new Map<string, Facts>();
  readonly #regions = new Map<string, number>();
  readonly #meshes = new Map<string, number>();
  readonly #policies = new Map<string, number>();

  get regionCount(): number {
    return this.#regions.size;
  }

  get meshes(): Iterable<string> {
    return this.#meshes.keys();
  }

  hasRegion(region: string): boolean {
    return this.#regions.has(region);
  }

  hasMesh(mesh: string): boolean {
    return this.#meshes.has(mesh);
  }

  /** Whether a node holds a route of this policy. */
  isRouted(policyKey: string): boolean {
    return this.#policies.has(policyKey);
  }

  apply({ type, object }: Change<MediaNode>): NodeNews {
    const { name } = object.metadata;
    const before = this.#facts.get(name);
    const after = type === 'deleted' ? undefined : factsOf(object, before);
    const hadRegions = this.#regions.size > 1;
    const [regions, meshes, policies] = [new Set<string>(), new Set<string>(), new Set<string>()];
    if (after) {
      this.#facts.set(name, after);
      count(this.#regions, after.region, 1, regions);
      if (after.mesh !== undefined) count(this.#meshes, after.mesh, 1, meshes);
      for (const policy of after.policies) count(this.#policies, policy, 1, policies);
    } else this.#facts.delete(name);
    if (before) {
      count(this.#regions, before.region, -1, regions);
      if (before.mesh !== undefined) count(this.#meshes, before.mesh, -1, meshes);
      for (const policy of before.policies) count(this.#policies, policy, -1, policies);
    }
    return {
      node: before && after && saysTheSame(before, after) ? undefined : name,
      regions: [...regions],
      policies: [...policies],
      concernsAll: meshes.size > 0 || hadRegions !== this.#regions.size > 1,
    };
  }
}

function factsOf({ metadata, spec, status }: MediaNode, before: Facts | undefined): Facts {
  const isSameSpec = before !== undefined && before.uid === metadata.uid && before.generation === metadata.generation;
  return {
    uid: metadata.uid,
    generation: metadata.generation,
    programmedGeneration: status?.programmedGeneration,
    region: spec.region,
    mesh: spec.mesh,
    policies:
      isSameSpec && before.generation !== undefined ? before.policies : new Set((spec.routes ?? []).map(({ policy }) => policy)),
  };
}

/** Load and links change often; the facts that StreamRoutes depend on do not. */
function saysTheSame(a: Facts, b: Facts): boolean {
  return a.uid === b.uid && a.generation === b.generation && a.programmedGeneration === b.programmedGeneration;
}

/** Changes a count. `crossed` holds the keys whose count became zero or stopped being zero, unless both happened. */
function count(counts: Map<string, number>, key: string, change: 1 | -1, crossed: Set<string>): void {
  const before = counts.get(key) ?? 0;
  const after = before + change;
  if (after === 0) counts.delete(key);
  else counts.set(key, after);
  if ((before === 0) === (after === 0)) return;
  if (!crossed.delete(key)) crossed.add(key);
}
