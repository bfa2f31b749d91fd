import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Clock, Logger } from '@millrace/service';
import type { ExecClient } from './exec-client.ts';
import { UnknownImageError } from './images.ts';
import type { LogFile } from './log-file.ts';
import { groupLives, signalGroup, signalLeader, spawnGroup, startTicksOf } from './process-group.ts';
import type { ProcessLedger } from './process-ledger.ts';
import type { Container, ContainerState, ContainerStatus } from './pod.ts';
import { kubeTime } from './pod.ts';
import { startProbe } from './probes.ts';
import { RestartBackoff, shouldRestart } from './restart-policy.ts';
import type { Ending } from './restart-policy.ts';

/** Command line, environment and folder of a process. */
export interface Launch {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  podIP: string;
}
export interface ContainerDeps {
  clock: Clock;
  logger: Logger;
  ledger: ProcessLedger;
  exec: ExecClient;
  log: LogFile;
  restartPolicy: string | undefined;
  /** Computes command line and environment for each start. Rejects when a Secret, ConfigMap or key is missing. */
  prepare: (container: Container) => Promise<Launch>;
  /** Called when the result of `status()` changes. */
  onChange: () => void;
}
const configRetryMs = 5000;
const killPollMs = 50;

/** One container: its process, restarts, probes and status. */
export class ContainerRunner {
  #container: Container;
  readonly #deps: ContainerDeps;
  readonly #backoff = new RestartBackoff();
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState | undefined;
  #restartCount: number;
  #containerId: string | undefined;
  #started = false;
  #ready = false;
  #process: ChildProcess | undefined;
  #stopProbes: (() => void)[] = [];
  #retry: ReturnType<Clock['setTimeout']> | undefined;
  #stopping = false;
  #isReplacing = false;

  /** `earlier` is the container's status as an earlier run of the agent reported it. */
  constructor(container: Container, deps: ContainerDeps, earlier?: ContainerStatus) {
    this.#container = container;
    this.#deps = deps;
    this.#restartCount = earlier?.containerID ? earlier.restartCount + 1 : 0;
    if (earlier?.containerID) this.#lastState = earlier.state?.terminated ? earlier.state : lostState(earlier, deps.clock.wall());
  }

  get container(): Container {
    return this.#container;
  }

  status(): ContainerStatus {
    const { name, image = '' } = this.container;
    return {
      name,
      image,
      imageID: image,
      state: this.#state,
      ...(this.#lastState ? { lastState: this.#lastState } : {}),
      restartCount: this.#restartCount,
      started: this.#started,
      ready: this.#ready,
      ...(this.#containerId ? { containerID: this.#containerId } : {}),
    };
  }

  /** It has ended, and its restart policy does not restart it. */
  get isOver(): boolean {
    return this.#state.terminated !== undefined;
  }

  async start(): Promise<void> {
    let launch: Launch;
    try {
      launch = await this.#deps.prepare(this.#container);
    } catch (error) {
      if (!this.#stopping) this.#waitFor(error);
      return;
    }
    if (!this.#stopping) this.#spawn(launch);
  }

  /** Cannot start yet, for a reason outside the container. */
  hold(message: string): void {
    this.#change({ waiting: { reason: 'ContainerCreating', message } });
  }

  /** Changes the container's image and restarts it if the image differs. */
  changeImage(image: string | undefined): void {
    if (this.#stopping || image === this.#container.image) return;
    this.#container = { ...this.#container, ...(image === undefined ? {} : { image }) };
    const child = this.#process;
    if (child?.pid !== undefined) {
      this.#isReplacing = true;
      return this.#restart(child, child.pid);
    }
    if (!this.#state.waiting || this.#state.waiting.reason === 'ContainerCreating') return;
    this.#deps.clock.clearTimeout(this.#retry);
    void this.start();
  }

  #waitFor(error: unknown): void {
    const { clock } = this.#deps;
    const message = error instanceof Error ? error.message : String(error);
    if (!(error instanceof UnknownImageError)) {
      this.#change({ waiting: { reason: 'CreateContainerConfigError', message } });
      this.#retry = clock.setTimeout(() => void this.start(), configRetryMs);
      return;
    }
    // Only another image in the pod will change that.
    this.#change({ waiting: { reason: 'ErrImagePull', message } });
    this.#retry = clock.setTimeout(() => this.#change({ waiting: { reason: 'ImagePullBackOff', message } }), configRetryMs);
  }

  #spawn(launch: Launch): void {
    const { clock, ledger, log, logger } = this.#deps;
    const startedAtMs = clock.wall();
    const child = spawnGroup(launch.argv, launch);
    this.#process = child;
    child.stdout?.on('data', (chunk: Buffer) => log.write(chunk));
    child.stderr?.on('data', (chunk: Buffer) => log.write(chunk));
    let ended = false;
    const end = (ending: Ending, message?: string) => {
      if (ended) return;
      ended = true;
      this.#ended(child, ending, startedAtMs, message);
    };
    child.on('error', (error) => end({ exitCode: 128 }, `cannot start ${launch.argv[0] ?? 'nothing'}: ${error.message}`));
    child.on('exit', (code, signal) => end(code !== null ? { exitCode: code } : endedBySignal(signal)));
    if (child.pid === undefined) return;
    ledger.add(child.pid);
    this.#containerId = `process://${child.pid}-${startTicksOf(child.pid) ?? '0'}`;
    logger.info({ container: this.container.name, processId: child.pid }, 'container started');
    this.#started = this.container.startupProbe === undefined;
    this.#ready = this.#started && this.container.readinessProbe === undefined;
    this.#change({ running: { startedAt: kubeTime(startedAtMs) } });
    this.#startProbes(launch);
  }

  #startProbes(launch: Launch): void {
    const { startupProbe } = this.container;
    const target = { container: this.container, podIP: launch.podIP, env: launch.env, cwd: launch.cwd, exec: this.#deps.exec };
    if (!startupProbe) return this.#startSteadyProbes(target);
    const stop = startProbe(this.#deps.clock, startupProbe, target, (ok) => {
      stop();
      if (!ok) return this.#restartUnhealthy('startup');
      this.#started = true;
      this.#ready = this.container.readinessProbe === undefined;
      this.#deps.onChange();
      this.#startSteadyProbes(target);
    });
    this.#stopProbes.push(stop);
  }

  #startSteadyProbes(target: Parameters<typeof startProbe>[2]): void {
    const { livenessProbe, readinessProbe } = this.container;
    const { clock } = this.#deps;
    if (livenessProbe)
      this.#stopProbes.push(startProbe(clock, livenessProbe, target, (ok) => ok || this.#restartUnhealthy('liveness')));
    if (!readinessProbe) return;
    const stop = startProbe(clock, readinessProbe, target, (ok) => {
      this.#ready = ok;
      this.#deps.onChange();
    });
    this.#stopProbes.push(stop);
  }

  #restartUnhealthy(probe: string): void {
    const child = this.#process;
    this.#deps.logger.warn({ container: this.container.name, probe }, 'probe failed: restarting the container');
    this.#endProbes();
    if (child?.pid !== undefined) this.#restart(child, child.pid);
  }

  #restart(child: ChildProcess, pid: number): void {
    signalLeader(pid, 'SIGTERM');
    this.#deps.clock.setTimeout(() => this.#process === child && signalGroup(pid, 'SIGKILL'), 10_000);
  }

  #ended(child: ChildProcess, ending: Ending, startedAtMs: number, message?: string): void {
    const { clock, ledger, logger, restartPolicy } = this.#deps;
    const finishedAtMs = clock.wall();
    this.#endProbes();
    this.#process = undefined;
    if (child.pid !== undefined) {
      signalGroup(child.pid, 'SIGKILL');
      ledger.remove(child.pid);
    }
    this.#started = false;
    this.#ready = false;
    logger.info({ container: this.container.name, ...ending }, 'container ended');
    const terminated: ContainerState = {
      terminated: {
        ...ending,
        reason: message ? 'StartError' : ending.exitCode === 0 ? 'Completed' : 'Error',
        ...(message ? { message } : {}),
        startedAt: kubeTime(startedAtMs),
        finishedAt: kubeTime(finishedAtMs),
        ...(this.#containerId ? { containerID: this.#containerId } : {}),
      },
    };
    const isReplaced = this.#isReplacing;
    this.#isReplacing = false;
    if (this.#stopping || (!isReplaced && !shouldRestart(restartPolicy, ending))) return this.#change(terminated);
    const delayMs = isReplaced ? 0 : this.#backoff.next(finishedAtMs - startedAtMs);
    this.#lastState = terminated;
    const reason = delayMs > 0 ? 'CrashLoopBackOff' : 'Restarting';
    this.#change({ waiting: { reason, message: `back-off ${delayMs} ms before restarting container ${this.container.name}` } });
    this.#retry = clock.setTimeout(() => {
      this.#restartCount++;
      void this.start();
    }, delayMs);
  }

  /** Sends SIGTERM, and SIGKILL to the whole group after `graceMs`. Resolves when no process of the group is left. */
  async stop(graceMs: number): Promise<void> {
    const { clock } = this.#deps;
    this.#stopping = true;
    clock.clearTimeout(this.#retry);
    this.#endProbes();
    this.#ready = false;
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    signalLeader(pid, 'SIGTERM');
    const deadline = clock.now() + graceMs;
    while (this.#process !== undefined || groupLives(pid)) {
      if (clock.now() >= deadline) signalGroup(pid, 'SIGKILL');
      await new Promise<void>((resolve) => clock.setTimeout(resolve, killPollMs));
    }
  }

  #endProbes(): void {
    for (const stop of this.#stopProbes.splice(0)) stop();
  }

  #change(state: ContainerState): void {
    this.#state = state;
    this.#deps.onChange();
  }
}

function endedBySignal(signal: NodeJS.Signals | null): Ending {
  const number = signal ? constants.signals[signal] : 0;
  return { exitCode: 128 + number, signal: number };
}

function lostState(earlier: ContainerStatus, wallMs: number): ContainerState {
  return {
    terminated: {
      exitCode: 255,
      reason: 'Unknown',
      message: 'the pod agent ended while the container ran',
      startedAt: earlier.state?.running?.startedAt ?? kubeTime(wallMs),
      finishedAt: kubeTime(wallMs),
      ...(earlier.containerID ? { containerID: earlier.containerID } : {}),
    },
  };
}
