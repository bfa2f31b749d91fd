import type { ResourceType } from './resource-type.ts';

/** The kinds that are served now: the built-in ones and those of established CRDs. */
export class Registry {
  readonly #types = new Map<string, ResourceType>();

  add(type: ResourceType): void {
    this.#types.set(`${type.group}/${type.version}/${type.plural}`, type);
  }

  /** Stops serving every version of a resource. */
  remove(group: string, plural: string): void {
    for (const [key, type] of this.#types) if (type.group === group && type.plural === plural) this.#types.delete(key);
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(`${group}/${version}/${plural}`);
  }

  byKind(apiVersion: string, kind: string): ResourceType | undefined {
    return this.all().find(
      (type) => type.kind === kind && (type.group ? `${type.group}/${type.version}` : type.version) === apiVersion,
    );
  }

  all(): ResourceType[] {
    return [...this.#types.values()];
  }

  /** One type for each resource, whatever the number of its versions. */
  resources(): ResourceType[] {
    return [...new Map(this.all().map((type) => [`${type.group}/${type.plural}`, type])).values()];
  }

  groups(): Map<string, Set<string>> {
    const groups = new Map<string, Set<string>>();
    for (const type of this.all()) groups.set(type.group, (groups.get(type.group) ?? new Set()).add(type.version));
    return groups;
  }
}
