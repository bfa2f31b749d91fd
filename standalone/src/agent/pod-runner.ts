import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '@millrace/kube';
import { isNotFound, pods } from '@millrace/kube';
import type { Clock, Logger } from '@millrace/service';
import { ContainerRunner } from './container-runner.ts';
import type { Launch } from './container-runner.ts';
import type { ExecClient } from './exec-client.ts';
import type { Addresses } from './environment.ts';
import { argvOf, environmentOf } from './environment.ts';
import type { LocalImages } from './images.ts';
import { UnknownImageError } from './images.ts';
import type { PodObjects } from './kube-objects.ts';
import { LogFile } from './log-file.ts';
import { podStatus } from './pod-status.ts';
import type { Container, Pod, PodStatus } from './pod.ts';
import type { ProcessLedger } from './process-ledger.ts';
import { StatusWriter } from './status-writer.ts';
import { materialiseVolumes, mountsOf } from './volumes.ts';

export interface PodRunnerDeps {
  client: KubeClient;
  objects: PodObjects;
  clock: Clock;
  logger: Logger;
  ledger: ProcessLedger;
  exec: ExecClient;
  addresses: Addresses;
  /** Folder of this pod: volumes and logs. */
  dir: string;
  local: LocalImages;
  baseEnv: Record<string, string>;
}
const volumeRetryMs = 2000;
const volumeRefreshMs = 60_000;
const abandonedGraceMs = 2000;

/** Runs one pod from its binding to its end. */
export class PodRunner {
  readonly #deps: PodRunnerDeps;
  readonly #containers: ContainerRunner[];
  readonly #logs = new Map<string, LogFile>();
  readonly #statusWriter: StatusWriter;
  #pod: Pod;
  #status: PodStatus | undefined;
  #timer: ReturnType<Clock['setTimeout']> | undefined;
  #tokens = new Map<string, { token: string; renewAtMs: number }>();
  #ending: Promise<void> | undefined;

  constructor(pod: Pod, deps: PodRunnerDeps) {
    this.#pod = pod;
    this.#deps = deps;
    this.#status = pod.status;
    this.#statusWriter = new StatusWriter(deps.client, deps.clock, deps.logger, pod);
    this.#containers = (pod.spec?.containers ?? []).map((container) => this.#containerRunner(container));
  }

  #containerRunner(container: Container): ContainerRunner {
    const { clock, ledger, exec, logger, dir } = this.#deps;
    const log = new LogFile(join(dir, 'logs', `${container.name}.log`));
    this.#logs.set(container.name, log);
    const earlier = this.#pod.status?.containerStatuses?.find((status) => status.name === container.name);
    const restartPolicy = this.#pod.spec?.restartPolicy;
    const prepare = (now: Container) => this.#launch(now);
    const onChange = () => this.#publish();
    return new ContainerRunner(container, { clock, ledger, exec, logger, log, restartPolicy, prepare, onChange }, earlier);
  }

  log(container: string): LogFile | undefined {
    return this.#logs.get(container);
  }

  /** Creates the volumes, then starts the containers. Retries until both succeed or the pod ends. */
  start(): void {
    this.#publish();
    void this.#prepareVolumes().then(
      () => {
        if (this.#ending) return;
        for (const container of this.#containers) void container.start();
        this.#timer = this.#deps.clock.setTimeout(() => this.#refresh(), volumeRefreshMs);
      },
      (error: unknown) => {
        if (this.#ending) return;
        this.#deps.logger.warn({ err: error }, 'cannot make the volumes of a pod yet');
        for (const container of this.#containers) container.hold(error instanceof Error ? error.message : String(error));
        this.#timer = this.#deps.clock.setTimeout(() => this.start(), volumeRetryMs);
      },
    );
  }

  /** Handles a newer version of the pod. Only deletion and images matter, because the rest of a running pod's spec is immutable. */
  update(pod: Pod): void {
    this.#pod = pod;
    if (!this.#ending)
      for (const { name, image } of pod.spec?.containers ?? [])
        this.#containers.find((runner) => runner.container.name === name)?.changeImage(image);
    if (!pod.metadata?.deletionTimestamp || this.#ending) return;
    const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    this.#ending = this.#end(graceMs).then(() => this.#finalise());
  }

  /** The pod object was removed without a graceful deletion: no process of it may go on. */
  abandon(): Promise<void> {
    this.#ending ??= this.#end(abandonedGraceMs);
    return this.#ending.then(() => {
      this.#statusWriter.stop();
      rmSync(this.#deps.dir, { recursive: true, force: true });
    });
  }

  /** Ends the processes because the agent stops. The pod remains, and the next agent runs it again. */
  async shutdown(graceMs: number): Promise<void> {
    this.#ending ??= this.#end(graceMs);
    await this.#ending;
    await this.#statusWriter.drain();
  }

  async #end(graceMs: number): Promise<void> {
    this.#deps.clock.clearTimeout(this.#timer);
    await Promise.all(this.#containers.map((container) => container.stop(graceMs)));
    this.#publish();
  }

  /** Tells the API that no process of the pod is left, which then removes the object. */
  async #finalise(): Promise<void> {
    const { client, clock, logger } = this.#deps;
    const { name = '', namespace = 'default', uid } = this.#pod.metadata ?? {};
    await this.#statusWriter.drain();
    try {
      await client.delete(pods, { name, namespace }, { gracePeriodSeconds: 0, ...(uid ? { preconditions: { uid } } : {}) });
    } catch (error) {
      if (isNotFound(error)) return;
      logger.warn({ err: error }, 'cannot remove a pod that has ended; trying again');
      await new Promise<void>((resolve) => clock.setTimeout(resolve, volumeRetryMs));
      if (this.#statusWriter.isActive) await this.#finalise();
    }
  }

  #publish(): void {
    const containers = this.#containers.map((container) => container.status());
    this.#status = podStatus(this.#pod, containers, this.#status, this.#deps.addresses, this.#deps.clock.wall());
    this.#statusWriter.write(this.#status);
  }

  #refresh(): void {
    void this.#prepareVolumes()
      .catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'cannot refresh the volumes of a pod'))
      .finally(() => {
        if (!this.#ending) this.#timer = this.#deps.clock.setTimeout(() => this.#refresh(), volumeRefreshMs);
      });
  }

  async #prepareVolumes(): Promise<void> {
    const { objects, dir } = this.#deps;
    const namespace = this.#pod.metadata?.namespace ?? 'default';
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return materialiseVolumes(this.#pod, dir, {
      secret: (name) => objects.secret(namespace, name),
      configMap: (name) => objects.configMap(namespace, name),
      token: (audience, seconds) => this.#token(audience, seconds),
    });
  }

  /** Tokens are renewed after 80% of their life, as kubelet does. */
  async #token(audience: string | undefined, expirationSeconds: number): Promise<string> {
    const nowMs = this.#deps.clock.wall();
    const known = this.#tokens.get(audience ?? '');
    if (known && nowMs < known.renewAtMs) return known.token;
    const token = await this.#deps.objects.token(this.#pod, audience, expirationSeconds);
    this.#tokens.set(audience ?? '', { token, renewAtMs: nowMs + expirationSeconds * 800 });
    return token;
  }

  async #launch(container: Container): Promise<Launch> {
    const { addresses, dir, local, baseEnv } = this.#deps;
    const program = local.commandFor(container.image ?? '');
    if (!program) throw new UnknownImageError(container.image ?? '', local.images);
    const mounts = mountsOf(this.#pod, container, dir);
    const known = await this.#referenced(container);
    const lookUpAll = (kind: string, name: string) => known.get(`${kind}/${name}`);
    const lookUp = (kind: string, name: string, key: string) => lookUpAll(kind, name)?.[key];
    const own = environmentOf(this.#pod, container, { addresses, mounts, lookUp, lookUpAll });
    const env = { ...baseEnv, MILLRACE_VOLUME_ROOT: join(dir, 'volumes'), ...own };
    const argv = argvOf(container, program, own, mounts);
    if (argv.length === 0) throw new Error('the container has no command');
    return { argv, env, cwd: container.workingDir ?? dir, podIP: addresses.podIPs[0]! };
  }

  /** The Secrets and ConfigMaps that the container's environment refers to, as text. */
  async #referenced(container: Container): Promise<Map<string, Record<string, string>>> {
    const namespace = this.#pod.metadata?.namespace ?? 'default';
    const names = new Set<string>();
    const add = (kind: string, reference: { name?: string } | undefined) =>
      reference && names.add(`${kind}/${reference.name ?? ''}`);
    for (const { valueFrom } of container.env ?? []) {
      add('secret', valueFrom?.secretKeyRef);
      add('configMap', valueFrom?.configMapKeyRef);
    }
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      add('secret', secretRef);
      add('configMap', configMapRef);
    }
    const known = new Map<string, Record<string, string>>();
    for (const reference of names) {
      const [kind, name = ''] = reference.split('/');
      const values = await (kind === 'secret'
        ? this.#deps.objects.secret(namespace, name)
        : this.#deps.objects.configMap(namespace, name));
      if (values)
        known.set(reference, Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value.toString('utf8')])));
    }
    return known;
  }
}
