import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Change, KubeClient } from '@millrace/kube';
import { Informer, createKubeClient, isConflict, isNotFound, objectKey, pods } from '@millrace/kube';
import type { Clock, Logger } from '@millrace/service';
import { createLogger, realClock } from '@millrace/service';
import type { Addresses } from './environment.ts';
import { ExecClient } from './exec-client.ts';
import type { LocalImages } from './images.ts';
import { PodObjects } from './kube-objects.ts';
import { serveLogs } from './log-server.ts';
import { NodeHeartbeat, nodeLabels } from './node-heartbeat.ts';
import { PodRunner } from './pod-runner.ts';
import type { Pod } from './pod.ts';
import { kubeTime } from './pod.ts';
import { ProcessLedger } from './process-ledger.ts';
import { obstacle } from './scheduling.ts';
import { StatusWriter, fieldManager } from './status-writer.ts';
import { refusedStatus, unsupported } from './support.ts';

export interface PodAgentOptions {
  kubeconfig: KubeConfig;
  nodeName: string;
  /** Volumes, logs and the list of running processes; readable by this user only. */
  dataDir: string;
  /** The program that stands for an image, to which the container's args are added; undefined when there is none (see `localImages`). */
  commandFor: LocalImages['commandFor'];
  /** Names of the known images, for the error about an unknown one. */
  images?: LocalImages['images'];
  /** Labels of the Node beside hostname, os and arch: pods choose by nodeSelector. */
  labels?: Record<string, string>;
  /** Addresses given to pods as pod and host addresses, the preferred one first; default 127.0.0.1. */
  addresses?: readonly string[];
  /** Variables of the agent's environment that containers inherit. */
  inheritEnv?: readonly string[];
  /** Time that processes get to end when the agent stops; default 5 s. */
  stopGraceMs?: number;
  logger?: Logger;
  clock?: Clock;
}
export interface PodAgent {
  /** Ends every process that it started. The pods remain and run again after the agent's next start. */
  stop(): Promise<void>;
  /** Also ends the process group of another process when this process dies. Returns a function that cancels this. */
  adopt(pid: number): () => void;
}
const inheritedByDefault = [
  'PATH',
  'HOME',
  'USER',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'MEDIASOUP_WORKER_BIN',
  'NODE_COMPILE_CACHE',
];
const rescheduleMs = 2000;

/** Registers the node, ends processes that an earlier run left behind, and then runs the node's pods. */
export async function startPodAgent(options: PodAgentOptions): Promise<PodAgent> {
  const agent = new Agent(options);
  await agent.start();
  return agent;
}

class Agent implements PodAgent {
  readonly #options: PodAgentOptions;
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #objects: PodObjects;
  readonly #ledger: ProcessLedger;
  readonly #exec = new ExecClient();
  readonly #addresses: Addresses;
  readonly #labels: Record<string, string>;
  readonly #informer: Informer<Pod>;
  readonly #runners = new Map<string, PodRunner>();
  readonly #unschedulable = new Map<string, string>();
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #heartbeat: NodeHeartbeat | undefined;
  #stopLogServer: (() => void) | undefined;
  #scheduleTimer: ReturnType<Clock['setTimeout']> | undefined;

  constructor(options: PodAgentOptions) {
    const { kubeconfig, addresses = ['127.0.0.1'], nodeName, dataDir } = options;
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#logger = (options.logger ?? createLogger({ service: 'pod-agent' })).child({ part: 'pod-agent' });
    mkdirSync(join(dataDir, 'pods'), { recursive: true, mode: 0o700 });
    this.#ledger = new ProcessLedger(join(dataDir, 'processes.json'), this.#logger);
    this.#client = createKubeClient({ kubeconfig, clock: this.#clock });
    this.#objects = new PodObjects(this.#client);
    this.#addresses = { hostIPs: addresses, podIPs: addresses };
    this.#labels = nodeLabels(nodeName, options.labels ?? {});
    this.#informer = new Informer<Pod>({ client: this.#client, resource: pods, logger: this.#logger });
  }

  async start(): Promise<void> {
    const { nodeName, dataDir } = this.#options;
    const socketPath = join(dataDir, 'agent.sock');
    this.#stopLogServer = await serveLogs(socketPath, (uid, container) => this.#runners.get(uid)?.log(container));
    const node = { name: nodeName, labels: this.#labels, addresses: this.#addresses, socketPath };
    this.#heartbeat = new NodeHeartbeat(this.#client, this.#clock, this.#logger, node);
    await this.#heartbeat.start();
    this.#running = this.#informer.run(this.#abort.signal);
    await this.#informer.whenSynced(this.#abort.signal);
    this.#removeStaleFolders();
    this.#informer.subscribe((change) => this.#observe(change));
  }

  #observe(change: Change<Pod>): void {
    if (this.#abort.signal.aborted) return;
    const pod = change.object;
    const uid = pod.metadata?.uid ?? '';
    if (change.type === 'deleted') {
      this.#unschedulable.delete(uid);
      const runner = this.#runners.get(uid);
      this.#runners.delete(uid);
      if (runner)
        void runner.abandon().catch((error: unknown) => this.#logger.warn({ err: error }, 'cannot clean up after a pod'));
      this.#scheduleSoon(0);
    } else if (pod.spec?.nodeName === this.#options.nodeName) this.#run(uid, pod);
    else if (!pod.spec?.nodeName) this.#scheduleSoon(0);
  }

  #run(uid: string, pod: Pod): void {
    const known = this.#runners.get(uid);
    if (known) return known.update(pod);
    const { phase } = pod.status ?? {};
    if (phase === 'Succeeded' || phase === 'Failed') return;
    const cannot = unsupported(pod);
    if (cannot.length > 0 && !pod.metadata?.deletionTimestamp) return this.#refuse(pod, cannot);
    const runner = new PodRunner(pod, {
      client: this.#client,
      objects: this.#objects,
      clock: this.#clock,
      logger: this.#logger.child({ pod: objectKey(pod) }),
      ledger: this.#ledger,
      exec: this.#exec,
      addresses: this.#addresses,
      dir: join(this.#options.dataDir, 'pods', uid),
      local: { commandFor: this.#options.commandFor, images: this.#options.images ?? [] },
      baseEnv: this.#baseEnv(),
    });
    this.#runners.set(uid, runner);
    if (pod.metadata?.deletionTimestamp) runner.update(pod);
    else runner.start();
  }

  #refuse(pod: Pod, fields: readonly string[]): void {
    this.#logger.warn({ pod: objectKey(pod), fields }, 'refused a pod');
    new StatusWriter(this.#client, this.#clock, this.#logger, pod).write(refusedStatus(fields, this.#clock.wall()));
  }

  #baseEnv(): Record<string, string> {
    const names = this.#options.inheritEnv ?? inheritedByDefault;
    return Object.fromEntries(
      names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name] ?? '']])),
    );
  }

  #scheduleSoon(delayMs: number): void {
    this.#clock.clearTimeout(this.#scheduleTimer);
    this.#scheduleTimer = this.#clock.setTimeout(() => void this.#schedule(), delayMs);
  }

  /** Binds the pods that can run here, one at a time, because each one takes ports from the following ones. */
  async #schedule(): Promise<void> {
    const { nodeName } = this.#options;
    const all = this.#informer.store.list();
    const here = all.filter((pod) => pod.spec?.nodeName === nodeName);
    let isRetryNeeded = false;
    for (const pod of all.filter((candidate) => !candidate.spec?.nodeName && !candidate.metadata?.deletionTimestamp)) {
      if (this.#abort.signal.aborted) return;
      const why = obstacle(pod, this.#labels, here);
      try {
        if (why) await this.#markUnschedulable(pod, why);
        else {
          await this.#objects.bind(pod, nodeName);
          here.push(pod);
        }
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) continue;
        isRetryNeeded = true;
        this.#logger.warn({ err: error, pod: objectKey(pod) }, 'cannot bind a pod; trying again');
      }
    }
    if (isRetryNeeded) this.#scheduleSoon(rescheduleMs);
  }

  async #markUnschedulable(pod: Pod, message: string): Promise<void> {
    const { name = '', namespace = 'default', uid = '' } = pod.metadata ?? {};
    if (this.#unschedulable.get(uid) === message) return;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime: kubeTime(this.#clock.wall()),
    };
    const patch = { metadata: { uid }, status: { conditions: [condition] } };
    await this.#client.patch(pods, { name, namespace }, { type: 'merge', patch }, { subresource: 'status', fieldManager });
    this.#unschedulable.set(uid, message);
  }

  #removeStaleFolders(): void {
    const root = join(this.#options.dataDir, 'pods');
    const known = new Set(this.#informer.store.list().map((pod) => pod.metadata?.uid));
    for (const uid of readdirSync(root)) if (!known.has(uid)) rmSync(join(root, uid), { recursive: true, force: true });
  }

  adopt(pid: number): () => void {
    this.#ledger.add(pid);
    return () => this.#ledger.remove(pid);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#clock.clearTimeout(this.#scheduleTimer);
    await Promise.all([...this.#runners.values()].map((runner) => runner.shutdown(this.#options.stopGraceMs ?? 5000)));
    await this.#heartbeat?.stop();
    this.#stopLogServer?.();
    await this.#running?.catch(() => undefined);
    this.#exec.close();
    this.#ledger.close();
    this.#client.close();
  }
}
