import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Clock } from '@millrace/service';
import type { ExecClient } from './exec-client.ts';
import type { Container, Probe } from './pod.ts';

/** Where a probe runs. */
export interface ProbeTarget {
  container: Container;
  podIP: string;
  env: Record<string, string>;
  cwd: string;
  exec: ExecClient;
}

/** Runs one probe. True when it succeeds within its timeout. */
async function runProbe(probe: Probe, target: ProbeTarget): Promise<boolean> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  const { env, cwd } = target;
  if (probe.exec) return target.exec.run({ argv: probe.exec.command ?? [], env, cwd, timeoutMs });
  if (probe.httpGet) return httpProbe(probe.httpGet, target, timeoutMs);
  if (probe.tcpSocket)
    return tcpProbe(probe.tcpSocket.host ?? target.podIP, portOf(probe.tcpSocket.port, target.container), timeoutMs);
  return true;
}

function portOf(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  return container.ports?.find((candidate) => candidate.name === port)?.containerPort ?? Number(port);
}

function httpProbe(action: NonNullable<Probe['httpGet']>, target: ProbeTarget, timeoutMs: number): Promise<boolean> {
  const isTls = action.scheme === 'HTTPS';
  const headers = Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name, value]));
  const options = {
    host: action.host ?? target.podIP,
    port: portOf(action.port, target.container),
    path: action.path ?? '/',
    headers: { 'User-Agent': 'kube-probe/1.36', ...headers },
    timeout: timeoutMs,
    signal: AbortSignal.timeout(timeoutMs),
  };
  return new Promise((resolve) => {
    // A probe asks whether the process answers, not whether its certificate is trusted (as kubelet does).
    const request = isTls ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    request.on('response', (response) => {
      response.resume();
      const code = response.statusCode ?? 0;
      resolve(code >= 200 && code < 400);
    });
    request.on('error', () => resolve(false));
    request.end();
  });
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const settle = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.on('connect', () => settle(true));
    socket.on('timeout', () => settle(false));
    socket.on('error', () => settle(false));
  });
}

/** Counts results against a probe's thresholds and reports when the verdict changes. */
class Threshold {
  readonly #success: number;
  readonly #failure: number;
  #streak = 0;
  #last: boolean | undefined;
  verdict: boolean | undefined;

  constructor(probe: Probe) {
    this.#success = probe.successThreshold ?? 1;
    this.#failure = probe.failureThreshold ?? 3;
  }

  /** True when this result changes the verdict. */
  add(ok: boolean): boolean {
    this.#streak = ok === this.#last ? this.#streak + 1 : 1;
    this.#last = ok;
    if (this.verdict === ok || this.#streak < (ok ? this.#success : this.#failure)) return false;
    this.verdict = ok;
    return true;
  }
}

/** Runs a probe periodically until stopped. `onVerdict` is called with each change of the verdict. */
export function startProbe(clock: Clock, probe: Probe, target: ProbeTarget, onVerdict: (ok: boolean) => void): () => void {
  const threshold = new Threshold(probe);
  let isStopped = false;
  let timer = clock.setTimeout(run, (probe.initialDelaySeconds ?? 0) * 1000);
  function run(): void {
    void runProbe(probe, target).then((ok) => {
      if (isStopped) return;
      if (threshold.add(ok)) onVerdict(ok);
      if (!isStopped) timer = clock.setTimeout(run, (probe.periodSeconds ?? 10) * 1000);
    });
  }
  return () => {
    isStopped = true;
    clock.clearTimeout(timer);
  };
}
