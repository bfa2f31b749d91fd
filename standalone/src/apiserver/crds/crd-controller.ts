import type { FieldError, JsonObject } from '@millrace/api/validation';
import { isObject, jsonEqual, parseCrd } from '@millrace/api/validation';
import { crdType } from '../builtin/types.ts';
import type { KubeObject } from '../object.ts';
import { asJson, kubeTime } from '../object.ts';
import type { Retries } from '../controllers/retries.ts';
import type { Registry } from '../registry.ts';
import type { ResourceType } from '../resource-type.ts';
import { storageKey } from '../resource-type.ts';
import type { Store } from '../storage/store.ts';
import { customTypes } from './custom-type.ts';
import { schemaErrors, specErrors, storedVersionErrors } from './spec-errors.ts';

export const crdCleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';
const crdKey = storageKey(crdType);

/** Errors of a CRD beyond its own schema: its name, its versions, schemas and rules that do not compile. */
export function crdErrors(type: ResourceType, object: KubeObject, old?: KubeObject): FieldError[] {
  if (type.plural !== crdType.plural) return [];
  const invalid = (field: string, message: string): FieldError => ({ reason: 'FieldValueInvalid', field, message });
  try {
    const { spec } = parseCrd(object);
    const expected = `${spec.names.plural}.${spec.group}`;
    if (object.metadata.name !== expected)
      return [
        invalid(
          'metadata.name',
          `Invalid value: ${JSON.stringify(object.metadata.name)}: must be spec.names.plural+"."+spec.group`,
        ),
      ];
    if (spec.versions.filter((version) => version.storage).length !== 1)
      return [invalid('spec.versions', 'Invalid value: must have exactly one version marked as storage version')];
    for (const path of ['group', 'scope'] as const) {
      if (old?.spec && !jsonEqual(old.spec[path], asJson(object)['spec'] && (object.spec as JsonObject)[path])) {
        return [invalid(`spec.${path}`, `Invalid value: ${JSON.stringify(object.spec?.[path])}: field is immutable`)];
      }
    }
    const wrong = [...specErrors(spec), ...storedVersionErrors(spec, old), ...spec.versions.flatMap(schemaErrors)];
    if (wrong.length > 0) return wrong;
    customTypes(parseCrd(object));
    return [];
  } catch (error) {
    return [invalid('spec', `Invalid value: ${error instanceof Error ? error.message : String(error)}`)];
  }
}

/** Serves the kinds that stored CRDs define, and updates the status of the CRDs. */
export class CrdController {
  readonly #store: Store;
  readonly #registry: Registry;
  readonly #wall: () => number;
  readonly #retries: Retries;

  constructor(store: Store, registry: Registry, wall: () => number, retries: Retries) {
    this.#store = store;
    this.#registry = registry;
    this.#wall = wall;
    this.#retries = retries;
    for (const crd of store.list(crdKey)) this.#serve(crd);
  }

  /** Call for every committed event of the store. */
  observe(event: { type: string; resource: string; object: KubeObject }): void {
    if (event.resource !== crdKey) return;
    if (event.type === 'DELETED') this.#stop(event.object);
    else {
      this.#serve(event.object);
      this.#establish(event.object);
    }
  }

  #serve(crd: KubeObject): void {
    const { spec } = parseCrd(crd);
    this.#registry.remove(spec.group, spec.names.plural);
    for (const type of customTypes(parseCrd(crd))) this.#registry.add(type);
  }

  #stop(crd: KubeObject): void {
    const { spec } = parseCrd(crd);
    this.#registry.remove(spec.group, spec.names.plural);
  }

  #establish(crd: KubeObject): void {
    const { spec } = parseCrd(crd);
    const { names } = spec;
    const acceptedNames = {
      ...names,
      singular: names.singular ?? names.kind.toLowerCase(),
      listKind: names.listKind ?? `${names.kind}List`,
    };
    const stored = spec.versions.filter((version) => version.storage).map((version) => version.name);
    const before =
      isObject(crd.status) && Array.isArray(crd.status['storedVersions']) ? (crd.status['storedVersions'] as string[]) : [];
    const status: JsonObject = {
      conditions: [
        this.#condition(crd, 'NamesAccepted', 'NoConflicts', 'no conflicts found'),
        this.#condition(crd, 'Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ],
      acceptedNames,
      storedVersions: [...new Set([...before, ...stored])],
    };
    if (jsonEqual(crd.status, status)) return;
    this.#retries.run('status of a CRD', async () => {
      const latest = this.#store.latest(crdKey, '', crd.metadata.name);
      if (latest?.metadata.uid === crd.metadata.uid) await this.#store.put(crdKey, { ...latest, status });
    });
  }

  #condition(crd: KubeObject, type: string, reason: string, message: string): JsonObject {
    const conditions = isObject(crd.status) && Array.isArray(crd.status['conditions']) ? crd.status['conditions'] : [];
    const known = conditions.find(
      (condition) => isObject(condition) && condition['type'] === type && condition['status'] === 'True',
    );
    if (isObject(known)) return known;
    return { type, status: 'True', lastTransitionTime: kubeTime(this.#wall()), reason, message };
  }
}
