import type { ControlMessage, MeshSettings, NodeSettings, PublicJwk, Snapshot, StreamState } from '@millrace/api';
import { MAX_SNAPSHOT_PEERS, programPages } from '@millrace/api';
import { Multimap, type Clock, type Logger, type Timer } from '@millrace/service';
import type { StreamEntry } from '../directory/index.ts';
import type { Fleet } from '../fleet/index.ts';
import type { LiveStreams } from '../streams/index.ts';
import { compileSettings, compileStream, digestOf, mentions } from './compile.ts';

/** A connected node as the programmer needs it. */
export interface ProgrammedNode {
  readonly node: string;
  /** Its public key on trunks, base64. */
  readonly nodeKey: string;
  /** The streams that it publishes or subscribes to. */
  carries(): Iterable<string>;
  send(message: ControlMessage): void;
}

interface Program {
  readonly target: ProgrammedNode;
  settings: NodeSettings | undefined;
  digest: string;
  version: number;
  /** Sent but not acknowledged yet, in order. */
  readonly sent: { version: number; generation: number }[];
  acknowledged: { version: number; generation: number } | undefined;
  settingsDirty: boolean;
  mustSnapshot: boolean;
  /** Before this the node gets no further snapshot because it lost track. */
  wholeAgainMs: number;
  readonly streamsDirty: Set<string>;
}

/** Events within this interval become one message, ms. */
const COALESCE_MS = 20;
/** Maximum number of unacknowledged messages: a slow node gets no more until it acknowledges some. */
const MAX_UNACKNOWLEDGED = 8;

/** Least time between two whole snapshots of a node that lost track: it costs a few bytes to ask for one. */
const WHOLE_AGAIN_MS = 5000;

/** Versions follow wall time; a version further ahead than this was not given by control. */
const MAX_CLOCK_LEAD_MS = 3_600_000;

export interface ProgrammerOptions {
  fleet: Fleet;
  streams: LiveStreams;
  meshOf: (name: string) => MeshSettings | undefined;
  tokenKeys: () => readonly PublicJwk[];
  /** The certificate of a node's key under the present signing key, base64; undefined before there is one. */
  certificateOf: (node: string, nodeKey: string) => string | undefined;
  /** The grant of a publication under the present key; undefined before there is one. */
  grantOf: (entry: StreamEntry) => string | undefined;
  clock: Clock;
  logger: Logger;
  /** Called when the node has acknowledged everything up to this generation of its MediaNode. */
  onProgrammed: (node: string, generation: number) => void;
}

/**
 * Keeps the snapshot of each node of this replica current. Indexes find the nodes that an event affects: those whose settings mention its
 * subject, and those that carry its stream.
 */
export class Programmer {
  readonly #options: ProgrammerOptions;
  readonly #programs = new Map<string, Program>();
  readonly #mentionedBy = new Multimap<string, string>();
  readonly #mentions = new Map<string, Set<string>>();
  readonly #byMesh = new Multimap<string, string>();
  readonly #meshes = new Map<string, string>();
  readonly #carriedBy = new Multimap<string, string>();
  readonly #heldBy = new Map<string, ReadonlySet<string>>();
  readonly #holds = new Multimap<string, string>();
  readonly #dirty = new Set<Program>();
  #lastVersion = 0;
  #timer: Timer | undefined;
  /** Number of settings compiled so far: tests compare it with the number of events. */
  compiled = 0;

  constructor(options: ProgrammerOptions) {
    this.#options = options;
    options.fleet.watch((change) => {
      if (change.type === 'spec') this.#settingsChanged(change.node);
      if ((change.type === 'spec' || change.type === 'presence') && change.addressChanged) {
        for (const node of this.#mentionedBy.get(change.node)) this.#settingsChanged(node);
      }
    });
    options.streams.watch(({ stream }) => {
      const concerned = new Set([...this.#carriedBy.get(stream), ...(this.#heldBy.get(stream) ?? [])]);
      for (const node of concerned) this.#streamChanged(node, stream);
    });
  }

  /** Starts to program a node. Returns its version when it already has these settings, so that it can resume. Call `begin` after the welcome. */
  attach(
    target: ProgrammedNode,
    have: { version?: number | undefined; digest?: string | undefined },
  ): { resumedVersion?: number } {
    const believed = have.version !== undefined && have.version <= this.#options.clock.wall() + MAX_CLOCK_LEAD_MS;
    const program: Program = {
      target,
      settings: undefined,
      digest: '',
      version: believed ? have.version! : 0,
      sent: [],
      acknowledged: undefined,
      settingsDirty: false,
      mustSnapshot: false,
      wholeAgainMs: -Infinity,
      streamsDirty: new Set(),
    };
    this.#programs.set(target.node, program);
    for (const stream of target.carries()) this.#carry(target.node, stream);
    this.#compile(program);
    this.#lastVersion = Math.max(this.#lastVersion, program.version);
    const resumed = believed && have.digest !== undefined && have.digest === program.digest;
    program.mustSnapshot = !resumed;
    return resumed ? { resumedVersion: have.version! } : {};
  }

  /** Sends the snapshot; after a resume, only the streams. */
  begin(target: ProgrammedNode): void {
    const program = this.#programs.get(target.node);
    if (program?.target !== target || !program.settings) return;
    if (program.mustSnapshot) return this.#sendSnapshot(program);
    this.#send(program, {
      type: 'streams',
      base: program.version,
      version: this.#nextVersion(),
      full: true,
      changed: this.#carriedStates(program),
      removed: [],
    });
  }

  detach(target: ProgrammedNode): void {
    const program = this.#programs.get(target.node);
    if (program?.target !== target) return;
    this.#programs.delete(target.node);
    this.#dirty.delete(program);
    for (const stream of target.carries()) this.#letGo(target.node, stream);
    this.#index(target.node, new Set(), undefined);
  }

  /** Records that the node carries the stream, and sends it the stream's state and later changes. */
  carry(node: string, stream: string): void {
    this.#carry(node, stream);
    this.#streamChanged(node, stream);
  }

  letGo(node: string, stream: string): void {
    this.#letGo(node, stream);
    this.#streamChanged(node, stream);
  }

  /** Makes these nodes, and no others, keep the stream even while nobody plays it there. */
  hold(stream: string, nodes: ReadonlySet<string>): void {
    const before = this.#heldBy.get(stream) ?? new Set<string>();
    if (nodes.size > 0) this.#heldBy.set(stream, nodes);
    else this.#heldBy.delete(stream);
    const added = [...nodes].filter((node) => !before.has(node));
    const removed = [...before].filter((node) => !nodes.has(node));
    for (const node of added) this.#holds.add(node, stream);
    for (const node of removed) this.#holds.delete(node, stream);
    for (const node of [...added, ...removed]) this.#streamChanged(node, stream);
  }

  /** A published stream as this node is to know it. */
  stateOf(node: string, entry: StreamEntry): StreamState {
    const { streams, grantOf } = this.#options;
    return compileStream(entry, streams.policyOf(entry.stream), { hold: this.isHeld(node, entry.stream), grant: grantOf(entry) });
  }

  isHeld(node: string, stream: string): boolean {
    return this.#heldBy.get(stream)?.has(node) === true;
  }

  meshChanged(mesh: string): void {
    for (const node of this.#byMesh.get(mesh)) this.#settingsChanged(node);
  }

  tokenKeysChanged(): void {
    for (const node of this.#programs.keys()) this.#settingsChanged(node);
  }

  /** An acknowledged version that was never sent means that the node lost track: it gets a whole snapshot. */
  acknowledged(target: ProgrammedNode, version: number): void {
    const program = this.#programs.get(target.node);
    if (program?.target !== target) return;
    const index = program.sent.findIndex((sent) => sent.version === version);
    if (index < 0) {
      if (program.acknowledged?.version === version && program.sent.length === 0) return;
      const { clock } = this.#options;
      const waitMs = program.wholeAgainMs - clock.now();
      if (waitMs > 0) {
        // What it lost track of may be under way to it. If it is not, it comes then.
        clock.setTimeout(() => this.#stillLost(program, version), waitMs).unref();
        return;
      }
      program.wholeAgainMs = clock.now() + WHOLE_AGAIN_MS;
      this.#options.logger.info(
        { node: target.node, version },
        'the node acknowledged a version that it was not sent; sending a snapshot',
      );
      program.sent.length = 0;
      program.mustSnapshot = true;
    } else {
      program.acknowledged = program.sent[index];
      program.sent.splice(0, index + 1);
      this.#options.onProgrammed(target.node, program.acknowledged!.generation);
    }
    if (program.mustSnapshot || program.settingsDirty || program.streamsDirty.size > 0) this.#schedule(program);
  }

  #stillLost(program: Program, version: number): void {
    const isPresent = this.#programs.get(program.target.node) === program;
    if (isPresent && program.sent.length === 0 && program.acknowledged?.version !== program.version)
      this.acknowledged(program.target, version);
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#programs.clear();
    this.#dirty.clear();
  }

  #settingsChanged(node: string): void {
    const program = this.#programs.get(node);
    if (!program) return;
    program.settingsDirty = true;
    this.#schedule(program);
  }

  #streamChanged(node: string, stream: string): void {
    const program = this.#programs.get(node);
    if (!program) return;
    program.streamsDirty.add(stream);
    this.#schedule(program);
  }

  #schedule(program: Program): void {
    this.#dirty.add(program);
    this.#timer ??= this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      const dirty = [...this.#dirty];
      this.#dirty.clear();
      for (const one of dirty) this.#flushSafely(one);
    }, COALESCE_MS);
  }

  /** When the settings of one node cannot be compiled or sent, the others still get theirs. */
  #flushSafely(program: Program): void {
    try {
      this.#flush(program);
    } catch (err) {
      this.#options.logger.error({ err, node: program.target.node }, 'a node could not be programmed');
      program.mustSnapshot = true;
    }
  }

  #flush(program: Program): void {
    if (program.sent.length >= MAX_UNACKNOWLEDGED) return;
    if (program.settingsDirty) {
      program.settingsDirty = false;
      const before = program.digest;
      this.#compile(program);
      if (program.digest !== before) program.mustSnapshot = true;
    }
    if (!program.settings) return;
    if (program.mustSnapshot) this.#sendSnapshot(program);
    else if (program.streamsDirty.size > 0) this.#sendStreams(program);
  }

  #compile(program: Program): void {
    const { fleet, meshOf, tokenKeys, certificateOf } = this.#options;
    const { node, nodeKey } = program.target;
    const spec = fleet.spec(program.target.node);
    if (!spec) return;
    const mesh = spec.mesh === undefined ? undefined : meshOf(spec.mesh);
    program.settings = compileSettings({
      spec,
      mesh,
      tokenKeys: tokenKeys(),
      certificate: certificateOf(node, nodeKey),
      addressOf: (name) => fleet.addressOf(name),
    });
    program.digest = digestOf(program.settings);
    this.compiled++;
    const { peers, routes } = program.settings;
    if (peers.length === MAX_SNAPSHOT_PEERS && routes.length < spec.routes.length) {
      this.#options.logger.warn(
        { node: spec.name, routes: spec.routes.length, sent: routes.length, peers: peers.length },
        'a node is given fewer routes than its MediaNode names, since they need the addresses of too many peers',
      );
    }
    this.#index(spec.name, mentions(spec), spec.mesh);
  }

  #sendSnapshot(program: Program): void {
    const streams = this.#carriedStates(program);
    program.mustSnapshot = false;
    program.streamsDirty.clear();
    const snapshot: Snapshot = { ...program.settings!, version: this.#nextVersion(), digest: program.digest, streams };
    this.#send(program, { type: 'snapshot', ...snapshot });
  }

  #sendStreams(program: Program): void {
    const changed: StreamState[] = [];
    const removed: string[] = [];
    for (const stream of program.streamsDirty) {
      const { node } = program.target;
      const concerned = this.#carriedBy.has(stream, node) || this.isHeld(node, stream);
      const state = concerned ? this.#stateOf(node, stream) : undefined;
      if (state) changed.push(state);
      else removed.push(stream);
    }
    program.streamsDirty.clear();
    this.#send(program, { type: 'streams', base: program.version, version: this.#nextVersion(), full: false, changed, removed });
  }

  #send(program: Program, message: Extract<ControlMessage, { type: 'snapshot' | 'streams' }>): void {
    program.version = message.version;
    program.sent.push({ version: message.version, generation: program.settings!.generation });
    for (const page of programPages(message)) program.target.send(page);
  }

  #carriedStates(program: Program): StreamState[] {
    const { node } = program.target;
    const streams = new Set([...program.target.carries(), ...this.#holds.get(node)]);
    return [...streams].flatMap((stream) => this.#stateOf(node, stream) ?? []);
  }

  #stateOf(node: string, stream: string): StreamState | undefined {
    const entry = this.#options.streams.get(stream);
    return entry && this.stateOf(node, entry);
  }

  /** A version above every earlier one of this process and, by wall time, of its predecessors. */
  #nextVersion(): number {
    this.#lastVersion = Math.max(Math.floor(this.#options.clock.wall()), this.#lastVersion + 1);
    return this.#lastVersion;
  }

  #carry(node: string, stream: string): void {
    this.#carriedBy.add(stream, node);
  }

  #letGo(node: string, stream: string): void {
    this.#carriedBy.delete(stream, node);
  }

  #index(node: string, mentioned: Set<string>, mesh: string | undefined): void {
    for (const name of this.#mentions.get(node) ?? []) this.#mentionedBy.delete(name, node);
    for (const name of mentioned) this.#mentionedBy.add(name, node);
    if (mentioned.size > 0) this.#mentions.set(node, mentioned);
    else this.#mentions.delete(node);
    const oldMesh = this.#meshes.get(node);
    if (oldMesh !== undefined) this.#byMesh.delete(oldMesh, node);
    if (mesh === undefined) this.#meshes.delete(node);
    else {
      this.#meshes.set(node, mesh);
      this.#byMesh.add(mesh, node);
    }
  }
}
