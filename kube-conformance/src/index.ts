import { after, before } from 'node:test';
import { access } from './access.ts';
import { apply } from './apply.ts';
import { builtinKinds } from './builtin-kinds.ts';
import { crdDefinitions } from './crd-definitions.ts';
import { customResources } from './custom-resources.ts';
import { discovery } from './discovery.ts';
import { history } from './history.ts';
import { lists } from './lists.ts';
import { metadata } from './metadata.ts';
import { objects } from './objects.ts';
import { ownership } from './ownership.ts';
import { patches } from './patches.ts';
import { requests } from './requests.ts';
import { tables } from './tables.ts';
import { verbs } from './verbs.ts';
import { watches } from './watches.ts';
import type { ConformanceTarget } from './world.ts';
import { World } from './world.ts';

export { ApiClient, collect, type Answer, type CallOptions, type WatchEvent } from './api-client.ts';
export { widgetCrd } from './widget-crd.ts';
export type { ConformanceTarget };

/**
 * Registers the tests of the documented behaviour of the Kubernetes API, over HTTP only. An API that passes them can replace kube-apiserver
 * for operator, control and kubectl. Call it inside a `describe`.
 */
export function conformance(target: ConformanceTarget): void {
  const world = new World(target);
  before(() => world.open());
  after(() => world.close());
  for (const area of [
    requests,
    discovery,
    objects,
    metadata,
    verbs,
    lists,
    tables,
    watches,
    patches,
    apply,
    customResources,
    crdDefinitions,
    builtinKinds,
    access,
    ownership,
    history,
  ])
    area(world);
}
