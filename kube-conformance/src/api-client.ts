import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { parse } from 'yaml';

export interface Answer {
  code: number;
  headers: IncomingMessage['headers'];
  // Bodies depend on the server under test; tests read single fields of them.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
}
export interface CallOptions {
  body?: unknown;
  type?: string;
  accept?: string;
  /** `null` sends no Authorization header. */
  token?: string | null;
  agent?: string;
}
export interface WatchEvent {
  type: string;
  object: Answer['body'];
}

/** Plain HTTP calls to the API of a kubeconfig, for tests, without retries. */
export class ApiClient {
  readonly url: string;
  readonly token: string;
  readonly #agent: Agent;

  constructor(kubeconfig: string) {
    type Decoded = { clusters: { cluster: Record<string, string> }[]; users: { user: Record<string, string> }[] };
    const { clusters, users } = parse(kubeconfig) as Decoded;
    const { server = '', ['certificate-authority-data']: authority = '' } = clusters[0]?.cluster ?? {};
    this.url = server;
    this.token = users[0]?.user['token'] ?? '';
    this.#agent = new Agent({ ca: Buffer.from(authority, 'base64').toString('utf8'), keepAlive: true });
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
      const request = httpsRequest(new URL(path, this.url), { method, headers, agent: this.#agent }, resolve);
      request.on('error', reject);
      request.end(text);
    });
  }

  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const response = await this.#open(method, path, options);
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    return {
      code: response.statusCode ?? 0,
      headers: response.headers,
      body: text.startsWith('{') ? (JSON.parse(text) as unknown) : text,
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

  /** Yields watch events until the server ends the watch. Throws the response when the watch is refused. */
  async *watch(path: string, options: CallOptions = {}): AsyncGenerator<WatchEvent> {
    const response = await this.#open('GET', path, options);
    let rest = '';
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line) yield JSON.parse(line) as WatchEvent;
    }
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${rest}`);
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Collects watch events until `enough` returns true, then closes the watch. */
export async function collect<T>(events: AsyncGenerator<T>, enough: (seen: T[]) => boolean): Promise<T[]> {
  const seen: T[] = [];
  for await (const event of events) {
    seen.push(event);
    if (enough(seen)) break;
  }
  return seen;
}
