import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Answer } from './api-client.ts';
import { ApiClient } from './api-client.ts';
import { widgetCrd } from './widget-crd.ts';

/** A Kubernetes API under test. */
export interface ConformanceTarget {
  /** Text of an administrator's kubeconfig. */
  kubeconfig: () => string | Promise<string>;
  /** Makes the API forget all earlier revisions, as compaction and a restart do. */
  forgetHistory: () => Promise<void>;
}

export const crdsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** The environment of one run: a separate namespace, and the Widget CRD. */
export class World {
  readonly target: ConformanceTarget;
  readonly namespace = `conf-${randomBytes(3).toString('hex')}`;
  readonly core = `/api/v1/namespaces/${this.namespace}`;
  readonly maps = `${this.core}/configmaps`;
  readonly pods = `${this.core}/pods`;
  readonly widgets = `/apis/conformance.test/v1/namespaces/${this.namespace}/widgets`;
  #api: ApiClient | undefined;

  constructor(target: ConformanceTarget) {
    this.target = target;
  }

  get api(): ApiClient {
    assert.ok(this.#api, 'the world is not open');
    return this.#api;
  }

  async open(): Promise<void> {
    this.#api = new ApiClient(await this.target.kubeconfig());
    assert.equal((await this.api.post('/api/v1/namespaces', { metadata: { name: this.namespace } })).code, 201);
    const crd = await this.api.post(crdsPath, widgetCrd);
    assert.ok(crd.code === 201 || crd.code === 409, JSON.stringify(crd.body));
    await this.eventually(this.widgets, ({ code }) => code === 200);
    // The API rejects pods until their service account exists.
    await this.eventually(`${this.core}/serviceaccounts/default`, ({ code }) => code === 200);
  }

  async close(): Promise<void> {
    await this.#api?.del(`/api/v1/namespaces/${this.namespace}`).catch(() => undefined);
    this.#api?.close();
  }

  /** Polls until the answer satisfies the condition; fails with the last one. */
  async eventually(path: string, isRight: (answer: Answer) => boolean, timeoutMs = 15_000): Promise<Answer> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const answer = await this.api.get(path).catch((error: unknown) => String(error)); // it may be starting
      if (typeof answer === 'object' && isRight(answer)) return answer;
      if (Date.now() > deadline) assert.fail(`${path}: ${JSON.stringify(answer)}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

export const isGone = ({ code }: Answer): boolean => code === 404;

export const widget = (name: string, spec: object = { size: 3 }, metadata: object = {}) => ({
  apiVersion: 'conformance.test/v1',
  kind: 'Widget',
  metadata: { name, ...metadata },
  spec,
});

export const configMap = (name: string, data: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
});

export const pod = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'a', image: 'x:1' }], ...spec },
});

interface Named {
  metadata: { name: string };
}
export const namesOf = (answer: Answer): string[] => (answer.body.items as Named[]).map((item) => item.metadata.name);

interface Cause {
  field?: string;
  reason?: string;
  message?: string;
}
/** `field reason` of each cause of a refusal. */
export const causesOf = (answer: Answer): string[] =>
  ((answer.body.details?.causes ?? []) as Cause[]).map(({ field, reason }) => `${field} ${reason}`);

/** Asserts that a request was refused with a complete Status ("Status", API conventions). */
export function assertRefused({ code, body, headers }: Answer, expectedCode: number, reason: string, message?: RegExp): void {
  assert.equal(code, expectedCode, JSON.stringify(body));
  assert.match(String(headers['content-type']), /^application\/json/);
  const { kind, apiVersion, status } = body as Record<string, unknown>;
  assert.deepEqual([kind, apiVersion, status, body.code], ['Status', 'v1', 'Failure', expectedCode]);
  assert.equal(body.reason, reason);
  if (message) assert.match(String(body.message), message);
}
