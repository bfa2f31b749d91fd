import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PlacementResponse, Topology } from '@millrace/api';

const MAIN = fileURLToPath(new URL('../../standalone/src/main.ts', import.meta.url));
const START_TIMEOUT_MS = 120_000;

/** A whole network as `make up` starts it, in separate processes, on free ports, with a scratch folder. */
export interface TestNetwork {
  readonly stateDir: string;
  readonly consoleUrl: string;
  readonly kubeconfig: string;
  readonly pid: number;
  /** Requests a placement from the console's app backend, as the page does. */
  place(kind: 'push' | 'pull', stream: string, region?: string): Promise<PlacementResponse>;
  topology(): Promise<Topology>;
  /** Sends SIGTERM, then waits until the process has ended. */
  stop(): Promise<void>;
  /** Sends SIGKILL to the network's own process: operator, control and API die at once. */
  kill(): Promise<void>;
  /** Everything that the process wrote, for the messages of failing tests. */
  output(): string;
}

export interface TestNetworkOptions {
  /** Reuse the folder of an earlier network. */
  readonly stateDir?: string;
  /** Use this Kubernetes API instead of the embedded one. */
  readonly kubeconfig?: string;
  /** See `make up SOURCE=…`. */
  readonly source?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Address on which to listen; default: all addresses. */
  readonly ports?: { readonly api: number; readonly control: number; readonly console: number };
}

/** Starts a network and waits until it reports that it is up. */
export async function startNetwork(options: TestNetworkOptions = {}): Promise<TestNetwork> {
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'millrace-e2e-'));
  const ports = options.ports ?? { api: 0, control: 0, console: 0 };
  const argv = ['up', '--state-dir', stateDir, '--source', options.source ?? 'none'];
  for (const [name, port] of Object.entries(ports)) argv.push(`--${name}-port`, String(port));
  if (options.kubeconfig) argv.push('--kubeconfig', options.kubeconfig);
  const child = spawn(process.execPath, [MAIN, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-200_000)));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  const removeOwnFolder = () => {
    if (!options.stateDir) rmSync(stateDir, { recursive: true, force: true });
  };
  const record = await waitForRecord(stateDir, child, () => output).catch(async (error: unknown) => {
    await end('SIGKILL');
    removeOwnFolder();
    throw error;
  });
  return {
    stateDir,
    consoleUrl: record.consoleUrl,
    kubeconfig: record.kubeconfig,
    pid: child.pid as number,
    place: (kind, stream, region) =>
      post(new URL(`/api/place/${kind}`, record.consoleUrl), { stream, ...(region ? { region } : {}) }),
    topology: () => getJson<Topology>(new URL('/api/topology', record.consoleUrl)),
    stop: async () => {
      await end('SIGTERM');
      removeOwnFolder();
    },
    kill: () => end('SIGKILL'),
    output: () => output,
  };
}

/** Ports that were free a moment ago, for a network that a test restarts on the same ports. */
export async function freeNetworkPorts(): Promise<NonNullable<TestNetworkOptions['ports']>> {
  const servers = Array.from({ length: 3 }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const [api, control, console] = servers.map((server) => (server.address() as AddressInfo).port) as [number, number, number];
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { api, control, console };
}

async function waitForRecord(
  stateDir: string,
  child: ChildProcess,
  output: () => string,
): Promise<{ consoleUrl: string; kubeconfig: string }> {
  for (const until = Date.now() + START_TIMEOUT_MS; Date.now() < until;) {
    if (child.exitCode !== null) throw new Error(`the network ended with ${child.exitCode}:\n${output()}`);
    try {
      const record = JSON.parse(readFileSync(join(stateDir, 'running.json'), 'utf8')) as {
        pid: number;
        consoleUrl: string;
        kubeconfig: string;
      };
      if (record.pid === child.pid) return record;
    } catch {
      // Not written yet.
    }
    await delay(100);
  }
  throw new Error(`the network was not up after ${START_TIMEOUT_MS / 1_000} s:\n${output()}`);
}

async function post<T>(url: URL, body: unknown): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${url.pathname}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

async function getJson<T>(url: URL): Promise<T> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`GET ${url.pathname}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls until `look` returns a value. Fails with its last error. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  let complaint: unknown;
  for (const until = Date.now() + timeoutMs; Date.now() < until; await delay(100)) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      complaint = error;
    }
  }
  throw new Error(`${what}: not within ${timeoutMs} ms${complaint instanceof Error ? ` (${complaint.message})` : ''}`);
}
