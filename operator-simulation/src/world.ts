import type { JsonObject } from '@millrace/api/validation';
import { FakeClock } from '@millrace/testkit';
import type { Lease, Pod } from '@millrace/kube';
import { MemoryApi, type Snapshot, type Stored } from '@millrace/testkit/kube-api';
import { RandomSource } from './random.ts';
import { Fleet, type SimulatedNode } from './fleet/index.ts';
import { OperatorProcess } from './operator-process.ts';
import { BUDGETS, EDGES, HOSTS, LEASES, MEDIA_NODES, MESHES, NS, OPERATOR_LEASE, PODS, ROUTES, SECRETS } from './paths.ts';
import { InvariantChecker } from './invariants.ts';
import { edgeOf, EDGE_NAMES, meshOf, routeOf } from './resources.ts';
import type { FailHow, Script, Step } from './script.ts';
import { reset } from '@millrace/testkit/kube-api';
import type { Outcome } from '@millrace/testkit/kube-api';

/** Within this time after the Lease is deleted, its holder has renewed it or its fence has closed. */
const ELECTION_UNSAFE_MS = 12_000;
const POLICIES: JsonObject[] = [{}, { policy: 'LowestCost' }, { via: ['berlin'] }, { avoid: { regions: ['nowhere'] } }];

/** An API, a fleet and two operator processes, on which a script is executed. */
export class World {
  readonly clock = new FakeClock();
  readonly api: MemoryApi;
  readonly fleet: Fleet;
  readonly invariants: InvariantChecker;
  readonly processes: OperatorProcess[] = [];
  /** The number of requests of ended processes. */
  readonly past = { reads: 0, writes: 0 };
  readonly #random: RandomSource;
  #names = 0;
  #backup: Snapshot | undefined;
  #leaseDeletedMs = -Infinity;
  #restoredMs = -Infinity;

  constructor({ seed, replicas }: Pick<Script, 'seed' | 'replicas'>) {
    this.#random = new RandomSource(seed);
    this.api = new MemoryApi({ clock: this.clock });
    this.api.recording = false;
    this.fleet = new Fleet(this.api, this.clock, this.#random.fork());
    this.invariants = new InvariantChecker(this.api, this.fleet, () => this.clock.wall());
    this.api.put(`${MESHES}/world`, meshOf());
    this.api.put(`${ROUTES}/all`, routeOf());
    for (const [index, wanted] of replicas.entries()) this.api.put(`${EDGES}/${EDGE_NAMES[index]}`, edgeOf(index, wanted));
    for (const slot of [0, 1]) this.#launch(slot);
  }

  get requests(): number {
    return this.processes.reduce(
      (sum, { connection: { seen } }) => sum + seen.reads + seen.writes,
      this.past.reads + this.past.writes,
    );
  }

  /** The number of write requests of the operator processes. */
  get writes(): number {
    return this.processes.reduce((sum, { connection: { seen } }) => sum + seen.writes, this.past.writes);
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.do === 'wait') await this.clock.settle(step.ms);
      else {
        this.#apply(step);
        await this.clock.settle(0);
      }
    }
  }

  /** Ends every fault, and undoes pauses and cordons. */
  async endFaults(): Promise<void> {
    this.api.isDown = false;
    await this.clock.settle(Math.max(0, this.#restoredMs + ELECTION_UNSAFE_MS - this.clock.now()));
    for (const process of this.processes) {
      process.connection.faults = {};
      process.connection.late = false;
      process.connection.overridingFault = undefined;
      process.clock.resume(true);
    }
    this.fleet.control.start();
    for (const [path, stored] of this.api.store.list(EDGES)) if (isPaused(stored)) this.#annotate(path, false);
    this.fleet.kubelets.uncordon();
    this.api.collectGarbage();
    await this.clock.settle(0);
  }

  /** Removes all core/v1 Events, as the API server does after an hour. */
  forgetEvents(): void {
    for (const [path] of this.api.store.list(`/api/v1/namespaces/${NS}/events`)) this.api.store.remove(path);
  }

  /** True when both processes run and one of them leads. */
  get isOperational(): boolean {
    return this.processes.every(({ ended }) => !ended) && this.processes.some(({ operator }) => operator.isLeading);
  }

  /** Ends both processes gracefully. Returns a violation for each error, and for timers that a process left. */
  async end(): Promise<string[]> {
    for (const process of this.processes) process.end();
    await this.clock.settle(60_000);
    return this.processes.flatMap(({ identity, ended, clock }) => [
      ...(ended ? [] : [`${identity} did not stop`]),
      ...(ended?.error ? [`${identity} failed: ${ended.error instanceof Error ? ended.error.message : 'unknown'}`] : []),
      ...(clock.pendingTimers > 0 ? [`${identity} left ${clock.pendingTimers} timers`] : []),
    ]);
  }

  #launch(slot: number): void {
    const random = this.#random.fork().next;
    const process = new OperatorProcess(this.clock, this.api, `operator-${slot}-${this.#names++}`, random);
    process.connection.onWrite = (request) => this.invariants.onWrite(process.identity, request);
    this.processes[slot] = process;
  }

  /** The known limit of the election (decision 0013): after the Lease is deleted, a process waits only for a holder that it has observed. */
  #allKnowHolder(): boolean {
    const { holderIdentity } = (this.api.objects.get(OPERATOR_LEASE) as Lease | undefined)?.spec ?? {};
    const alive = this.processes.filter(({ clock, ended }) => clock.state !== 'dead' && !ended);
    return (
      !holderIdentity || alive.every(({ clock, operator }) => clock.state === 'running' && operator.leader === holderIdentity)
    );
  }

  #isElectionUnsafe(): boolean {
    return this.clock.now() < Math.max(this.#leaseDeletedMs, this.#restoredMs) + ELECTION_UNSAFE_MS;
  }

  #relaunch(slot: number, afterMs: number): void {
    this.clock.setTimeout(() => (this.#isElectionUnsafe() ? this.#relaunch(slot, 1_000) : this.#launch(slot)), afterMs);
  }

  #kill(slot: number): void {
    const process = this.processes[slot];
    if (!process || process.clock.state === 'dead') return;
    this.past.reads += process.connection.seen.reads;
    this.past.writes += process.connection.seen.writes;
    process.connection.seen.reads = process.connection.seen.writes = 0;
    process.kill();
    this.#relaunch(slot, this.#random.pick([0, 100, 5_000, 30_000]));
  }

  #apply(step: Step): void {
    const { api, fleet } = this;
    switch (step.do) {
      case 'scale':
        return this.#editEdge(step.edge, (spec) => ({ ...spec, replicas: step.replicas }));
      case 'changeTemplate':
        return this.#editEdge(step.edge, (spec) => ({ ...spec, image: `media-node:${this.#random.integer(2, 4)}` }));
      case 'setDrainTimeout':
        return this.#editEdge(step.edge, (spec) => ({
          ...spec,
          drain: { ...(spec['drain'] as object), timeoutSeconds: step.seconds },
        }));
      case 'pause':
      case 'resume':
        return this.#annotate(edgePath(step.edge), step.do === 'pause');
      case 'deleteEdge':
        return void api.store.delete(edgePath(step.edge));
      case 'createEdge':
        if (!api.objects.has(edgePath(step.edge))) api.put(edgePath(step.edge), edgeOf(step.edge, this.#random.integer(0, 2)));
        return;
      case 'cordon':
      case 'uncordon':
        return api.put(`${HOSTS}/host-1`, { kind: 'Node', apiVersion: 'v1', spec: { unschedulable: step.do === 'cordon' } });
      case 'deletePod':
        return this.#withNth(PODS, step.nth, (path, pod) => api.store.delete(path, (pod as Pod).spec?.nodeName ? 30 : 0));
      case 'deleteMediaNode':
        return this.#withNth(MEDIA_NODES, step.nth, (path) => api.store.delete(path));
      case 'editStatus':
        return this.#withNth(EDGES, step.nth, (path, edge) => api.store.write(path, { ...edge, status: {} }, 'status'));
      case 'deleteMesh':
        return void api.store.delete(`${MESHES}/world`);
      case 'createMesh':
        if (!api.objects.has(`${MESHES}/world`)) api.put(`${MESHES}/world`, meshOf());
        return;
      case 'deleteRoute':
        return void api.store.delete(`${ROUTES}/all`);
      case 'createRoute':
        if (!api.objects.has(`${ROUTES}/all`)) api.put(`${ROUTES}/all`, routeOf());
        return;
      case 'changePolicy':
        return this.#withNth(ROUTES, step.nth, (path, route) => {
          const { spec } = routeOf(POLICIES[step.nth % POLICIES.length]);
          api.store.write(path, { ...route, spec: spec as Stored['spec'] }, 'main');
        });
      case 'deleteKey':
        return this.#withNth(SECRETS, 0, (path) => api.store.delete(path));
      case 'deleteBudget':
        return this.#withNth(BUDGETS, 0, (path) => api.store.delete(path));
      case 'deleteLease':
        if (!this.#allKnowHolder()) return;
        this.#leaseDeletedMs = this.clock.now();
        return void api.store.delete(OPERATOR_LEASE);
      case 'collectGarbage':
        return void api.collectGarbage();
      case 'join':
        return this.#withNode(step.nth, fleet.open, (node) => fleet.join(node, step.sessions));
      case 'leave':
        return this.#withNode(step.nth, [...fleet.nodes.values()], (node) => fleet.leave(node, step.sessions));
      case 'podFails':
        return this.#withNth(PODS, step.nth, (path) => fleet.kubelets.fail(path.slice(PODS.length + 1)));
      case 'stumble':
        return this.#withNode(step.nth, [...fleet.nodes.values()], (node) => fleet.stumble(node, step.ms));
      case 'controlStops':
        return fleet.control.stop();
      case 'controlStarts':
        return fleet.control.start();
      case 'setRtt':
        return fleet.control.setRtt(['berlin tokyo', 'berlin berlin', 'tokyo tokyo'][step.nth % 3] ?? '', step.ms);
      case 'fail':
        return this.#each(step.process, (process) => {
          const random = this.#random.fork();
          process.connection.faults = {
            ...process.connection.faults,
            fail: ({ method, path }) =>
              concerns(step.of, method, path) && random.boolean(step.share) ? outcome(step.how, random) : undefined,
          };
        });
      case 'heal':
        return this.#each(step.process, (process) => (process.connection.faults = {}));
      case 'pageSize':
        return this.#each(
          step.process,
          (process) => (process.connection.faults = { ...process.connection.faults, pageSize: step.size }),
        );
      case 'cut':
        return this.#each(step.process, (process) => process.connection.cutWatches(reset()));
      case 'endWatches':
        return this.#each(step.process, (process) => process.connection.cutWatches());
      case 'silence':
      case 'repeat':
      case 'goneEvent':
      case 'errorEvent':
        return this.#each(step.process, ({ connection }) => {
          for (const watch of [...connection.watches]) {
            if (this.#random.boolean(0.5)) continue;
            if (step.do === 'silence') watch.silence();
            else if (step.do === 'repeat') watch.repeat();
            else watch.fail(step.do === 'goneEvent' ? 410 : 500, step.do === 'goneEvent' ? 'Expired' : 'InternalError');
          }
        });
      case 'late':
        return this.#each(step.process, (process) => (process.connection.late = step.of === 'all' ? true : step.of));
      case 'onTime':
        return this.#each(step.process, (process) => (process.connection.late = false));
      case 'compact':
        return api.compact();
      case 'bookmark':
        return api.bookmark();
      case 'backup':
        this.#backup = api.snapshot();
        return;
      case 'restore':
        return this.#restore();
      case 'restartApi':
        return this.#restartApi(step.ms);
      case 'kill':
        return this.#kill(step.process);
      case 'terminate': {
        const process = this.processes[step.process];
        if (!process || process.ended) return;
        process.end();
        this.clock.setTimeout(() => {
          if (this.processes[step.process] === process) this.#kill(step.process);
        }, 15_000);
        return;
      }
      case 'stop':
        return this.processes[step.process]?.clock.stop();
      case 'continue':
        // A process that was stopped during the deletion knows as little about the holder as a new one.
        if (this.#isElectionUnsafe()) return;
        return this.processes[step.process]?.clock.resume(this.#random.boolean(0.5));
      case 'killAtWrite':
        return this.#killAtWrite(step);
      case 'wallJump':
        return this.#each(step.process, (process) => (process.clock.wallOffsetMs += step.ms));
      case 'wait':
        return;
    }
  }

  /** Kills the process at its n-th write from now on, before or after the server executes it. */
  #killAtWrite({ process: slot, write, done }: { process: number; write: number; done: boolean }): void {
    const process = this.processes[slot];
    if (!process) return;
    let left = write;
    process.connection.overridingFault = ({ method, path }) => {
      if (method === 'GET' || path.startsWith(LEASES) || --left > 0) return undefined;
      queueMicrotask(() => {
        if (this.processes[slot] === process) this.#kill(slot);
      });
      return done ? 'stallAfter' : 'stall';
    };
  }

  #restore(): void {
    if (!this.#backup || !this.#allKnowHolder()) return;
    this.#restoredMs = this.clock.now();
    this.api.restore(this.#backup);
    this.invariants.restored();
    this.fleet.reconcileAfterRestore();
  }

  #restartApi(ms: number): void {
    this.api.cutWatches(reset());
    this.api.isDown = true;
    this.clock.setTimeout(() => (this.api.isDown = false), ms);
  }

  #editEdge(index: number, change: (spec: NonNullable<Stored['spec']>) => object): void {
    const path = edgePath(index);
    const edge = this.api.objects.get(path);
    if (edge) this.api.store.write(path, { ...edge, spec: change(edge.spec ?? {}) }, 'main');
  }

  #annotate(path: string, paused: boolean): void {
    const edge = this.api.objects.get(path);
    if (!edge) return;
    const { annotations: _, ...metadata } = edge.metadata;
    const annotations = paused ? { annotations: { 'millrace.dev/paused': 'true' } } : {};
    this.api.store.write(path, { ...edge, metadata: { ...metadata, ...annotations } }, 'main');
  }

  #withNth(collection: string, nth: number, then: (path: string, stored: Stored) => unknown): void {
    const all = this.api.store.list(collection);
    const [path, stored] = all[nth % Math.max(1, all.length)] ?? [];
    if (path && stored) then(path, stored);
  }

  #withNode(nth: number, nodes: readonly SimulatedNode[], then: (node: SimulatedNode) => void): void {
    const node = nodes[nth % Math.max(1, nodes.length)];
    if (node) then(node);
  }

  #each(process: number, then: (process: OperatorProcess) => unknown): void {
    for (const [slot, one] of this.processes.entries()) if (process === 2 || process === slot) then(one);
  }
}

function edgePath(index: number): string {
  return `${EDGES}/${EDGE_NAMES[index]}`;
}

function isPaused({ metadata }: Stored): boolean {
  return metadata['annotations'] !== undefined;
}

function concerns(of: Extract<Step, { do: 'fail' }>['of'], method: string, path: string): boolean {
  const isLease = path.startsWith(LEASES);
  if (of === 'lease') return isLease;
  if (of === 'all') return true;
  if (of === 'reads') return method === 'GET';
  if (isLease || method === 'GET') return false;
  if (of === 'pods') return path.startsWith(PODS);
  return of === 'writes' || path.includes('/status');
}

function outcome(how: FailHow, random: RandomSource): Outcome {
  switch (how) {
    case '409':
      return { code: 409, reason: 'Conflict' };
    case '410':
      return { code: 410, reason: 'Expired' };
    case '422':
      return { code: 422, reason: 'Invalid' };
    case '429':
      return { code: 429, reason: 'TooManyRequests', retryAfterSeconds: random.integer(0, 3) };
    case '500':
      return { code: 500, reason: 'InternalError' };
    case '503':
      return { code: 503, reason: 'ServiceUnavailable', ...(random.boolean(0.5) ? { retryAfterSeconds: 1 } : {}) };
    // Shorter than the time between the closing of the fence and the expiry of the lease: no client can recall a slower request.
    case 'slow':
      return { delayMs: random.integer(1, 4_000) };
    case 'slowLost':
      return { delayMs: random.integer(1, 4_000), lose: true };
    default:
      return how;
  }
}
