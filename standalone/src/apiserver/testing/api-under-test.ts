import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@millrace/service';
import { parse } from 'yaml';
import type { ApiServer } from '../start.ts';
import { startApiServer } from '../start.ts';

export interface Answer {
  code: number;
  headers: IncomingMessage['headers'];
  // Bodies are whatever the server under test sends; tests look at single fields of them.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
}
export interface CallOptions {
  body?: unknown;
  type?: string;
  accept?: string;
  /** null: no Authorization header. */
  token?: string | null;
  agent?: string;
}

/** A Kubernetes API to test: one of the kubeconfig in MILLRACE_CONFORMANCE_KUBECONFIG, else a standalone one of its own. */
export class ApiUnderTest {
  readonly url: string;
  readonly token: string;
  readonly #agent: Agent;
  readonly #clientCert: object;
  readonly own: ApiServer | undefined;
  readonly dataDir: string | undefined;

  private constructor(url: string, token: string, ca: string | undefined, clientCert: object, own?: ApiServer, dataDir?: string) {
    this.url = url;
    this.token = token;
    this.#clientCert = clientCert;
    this.#agent = new Agent({ ...(ca ? { ca } : {}), ...clientCert, keepAlive: true });
    this.own = own;
    this.dataDir = dataDir;
  }

  static async start(): Promise<ApiUnderTest> {
    const file = process.env['MILLRACE_CONFORMANCE_KUBECONFIG'];
    if (file) return ApiUnderTest.#ofKubeconfig(readFileSync(file, 'utf8'));
    const dataDir = mkdtempSync(join(tmpdir(), 'millrace-api-'));
    const own = await startTestServer(dataDir);
    return new ApiUnderTest(own.url, testToken, own.ca, {}, own, dataDir);
  }

  static #ofKubeconfig(text: string): ApiUnderTest {
    type Decoded = { clusters: { cluster: Record<string, string> }[]; users: { user: Record<string, string> }[] };
    const { clusters, users } = parse(text) as Decoded;
    const cluster = clusters[0]?.cluster ?? {};
    const user = users[0]?.user ?? {};
    const decode = (data: string | undefined) => (data ? Buffer.from(data, 'base64').toString('utf8') : undefined);
    const cert = decode(user['client-certificate-data']);
    const client = cert ? { cert, key: decode(user['client-key-data']) } : {};
    return new ApiUnderTest(cluster['server'] ?? '', user['token'] ?? '', decode(cluster['certificate-authority-data']), client);
  }

  #open(method: string, path: string, options: CallOptions): Promise<IncomingMessage> {
    const token = options.token === undefined ? this.token : options.token;
    const headers: Record<string, string> = {
      Accept: options.accept ?? 'application/json',
      'User-Agent': options.agent ?? 'conformance/1',
    };
    if (token) headers['Authorization'] = `Bearer ${token}`;
    const text = typeof options.body === 'string' ? options.body : JSON.stringify(options.body);
    if (text !== undefined) {
      headers['Content-Type'] = options.type ?? 'application/json';
      headers['Content-Length'] = String(Buffer.byteLength(text));
    }
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        new URL(path, this.url),
        { method, headers, agent: this.#agent, ...this.#clientCert },
        resolve,
      );
      request.on('error', reject);
      request.end(text);
    });
  }

  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const response = await this.#open(method, path, options);
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const isJson = text.startsWith('{');
    return {
      code: response.statusCode ?? 0,
      headers: response.headers,
      body: isJson && text ? (JSON.parse(text) as unknown) : text,
    };
  }

  get = (path: string, options?: CallOptions) => this.call('GET', path, options);
  post = (path: string, body: unknown, options?: CallOptions) => this.call('POST', path, { ...options, body });
  put = (path: string, body: unknown, options?: CallOptions) => this.call('PUT', path, { ...options, body });
  del = (path: string, body?: unknown) => this.call('DELETE', path, { body });
  mergePatch = (path: string, body: unknown, options?: CallOptions) =>
    this.call('PATCH', path, { ...options, body, type: 'application/merge-patch+json' });
  jsonPatch = (path: string, body: unknown) => this.call('PATCH', path, { body, type: 'application/json-patch+json' });
  strategicPatch = (path: string, body: unknown) =>
    this.call('PATCH', path, { body, type: 'application/strategic-merge-patch+json' });
  apply = (path: string, body: unknown, manager: string, force = false) =>
    this.call('PATCH', `${path}?fieldManager=${manager}${force ? '&force=true' : ''}`, {
      body,
      type: 'application/apply-patch+yaml',
    });

  /** Watch events as they come; ends when the server ends the watch. */
  async *watch(path: string, options: CallOptions = {}): AsyncGenerator<{ type: string; object: Answer['body'] }> {
    const response = await this.#open('GET', path, options);
    let rest = '';
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line) yield JSON.parse(line) as { type: string; object: unknown };
    }
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await this.own?.close();
    if (this.dataDir) rmSync(this.dataDir, { recursive: true, force: true });
  }
}

export const testToken = randomBytes(16).toString('hex');

export function startTestServer(dataDir: string, more: { maxHistory?: number; port?: number } = {}): Promise<ApiServer> {
  const logger = createLogger({ service: 'apiserver', level: 'warn' });
  return startApiServer({ dataDir, tokens: { [testToken]: { user: 'tester', groups: ['system:masters'] } }, logger, ...more });
}

/** The events of a watch until `enough` says so; what is left of the watch is dropped. */
export async function collect<T>(events: AsyncGenerator<T>, enough: (seen: T[]) => boolean): Promise<T[]> {
  const seen: T[] = [];
  for await (const event of events) {
    seen.push(event);
    if (enough(seen)) break;
  }
  return seen;
}

/** A CRD with a bit of everything, for tests. */
export const widgetCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.conformance.test' },
  spec: {
    group: 'conformance.test',
    scope: 'Namespaced',
    names: {
      plural: 'widgets',
      singular: 'widget',
      kind: 'Widget',
      listKind: 'WidgetList',
      shortNames: ['wd'],
      categories: ['all'],
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.replicas',
            statusReplicasPath: '.status.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        selectableFields: [{ jsonPath: '.spec.region' }],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', minimum: 1, maximum: 10 },
                  region: {
                    type: 'string',
                    maxLength: 20,
                    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'region is immutable' }],
                  },
                  replicas: { type: 'integer', minimum: 0, default: 1 },
                  mode: { type: 'string', enum: ['A', 'B'], default: 'A' },
                  tags: { type: 'array', maxItems: 5, items: { type: 'string', maxLength: 20 }, 'x-kubernetes-list-type': 'set' },
                  ports: {
                    type: 'array',
                    maxItems: 10,
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['name'],
                    items: {
                      type: 'object',
                      required: ['name'],
                      properties: { name: { type: 'string' }, port: { type: 'integer' }, note: { type: 'string' } },
                    },
                  },
                  steps: { type: 'array', items: { type: 'string' } },
                  min: { type: 'integer' },
                  max: { type: 'integer' },
                },
                'x-kubernetes-validations': [
                  { rule: '!has(self.min) || !has(self.max) || self.min <= self.max', message: 'min must not exceed max' },
                ],
              },
              status: {
                type: 'object',
                properties: {
                  replicas: { type: 'integer' },
                  selector: { type: 'string' },
                  conditions: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['type'],
                    items: {
                      type: 'object',
                      required: ['type'],
                      properties: { type: { type: 'string' }, status: { type: 'string' } },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};
