import type { HeldPosition, StreamDescription, Subscribe } from '@millrace/api/trunk';
import type { HeldRange, ServedDownstream } from './effects.ts';
import { masksOf, unionOf } from './layer-masks.ts';
import type { RouteSource } from './routes.ts';

/** A local pull's request. */
export interface LocalWant {
  /** Empty when the stream is published on this node. */
  path: string[];
  backup: string[];
  masks: Uint8Array;
  lingerMs: number;
  /** The oldest acceptable epoch. */
  epoch?: number;
  /** Control's grant of that epoch. */
  grant?: string | undefined;
}

/** A node that subscribed here. */
export interface Downstream extends ServedDownstream {
  path: string[];
  backup: string[];
  via: string[];
  masks: Uint8Array;
  epoch: number | undefined;
  grant: string | undefined;
  held: HeldPosition[];
  /** waiting: not answered yet; standing: told that the subscription stands; lost: told that it is lost. */
  state: 'waiting' | 'standing' | 'lost';
}

export function downstreamOf(peer: string, message: Subscribe): Downstream {
  const { id, conversations, path, backup, via, epoch, grant, held } = message;
  return { peer, id, conversations, path, backup, via, epoch, grant, held, masks: masksOf(message.layers), state: 'waiting' };
}

export const localOwner = (id: string): string => `local:${id}`;
export const downstreamOwner = (peer: string): string => `node:${peer}`;

/** All requests for one stream at this node, from local pulls and downstream nodes. */
export class Wants {
  readonly locals = new Map<string, LocalWant>();
  /** By node: a node has one subscription of a stream. */
  readonly downstreams = new Map<string, Downstream>();

  get isEmpty(): boolean {
    return this.locals.size === 0 && this.downstreams.size === 0;
  }

  masks(): Uint8Array {
    return unionOf([...this.locals.values(), ...this.downstreams.values()].map((want) => want.masks));
  }

  /** The newest epoch that somebody asks for, or that is `known` here, with its grant: older ones are of no use any more. */
  newest(known: StreamDescription | undefined): { epoch?: number; grant?: string } {
    let newest: { epoch?: number | undefined; grant?: string | undefined } | undefined = known;
    for (const want of [...this.locals.values(), ...this.downstreams.values()])
      if (want.epoch !== undefined && want.epoch > (newest?.epoch ?? -1)) newest = want;
    const { epoch, grant } = newest ?? {};
    return { ...(epoch === undefined ? {} : { epoch }), ...(grant === undefined ? {} : { grant }) };
  }

  /** The oldest epoch that `owner` accepts; -1 for any. */
  epochOf(owner: string): number {
    const behind = [...this.downstreams.values()].find((downstream) => downstreamOwner(downstream.peer) === owner);
    return behind?.epoch ?? -1;
  }

  sources(): RouteSource[] {
    // The latest local request first: it has the newest route.
    const locals = [...this.locals]
      .reverse()
      .map(([id, { path, backup }]) => ({ owner: localOwner(id), local: true, path, backup }));
    const behind = [...this.downstreams.values()].map(({ peer, path, backup }) => ({
      owner: downstreamOwner(peer),
      local: false,
      path,
      backup,
    }));
    return [...locals, ...behind];
  }

  /** `via` and `backup` of a SUBSCRIBE that is sent on behalf of `owner`. */
  origin(owner: string, self: string): { via: string[]; backup: string[] } {
    const behind = [...this.downstreams.values()].find((downstream) => downstreamOwner(downstream.peer) === owner);
    if (behind) return { via: [...behind.via, self], backup: behind.backup };
    const local = [...this.locals].find(([id]) => localOwner(id) === owner)?.[1];
    return { via: [self], backup: local?.backup ?? [] };
  }

  /** Positions after which the upstream replays: those held here, or older ones for a downstream that holds less. */
  positions(held: HeldRange[]): HeldPosition[] {
    const waiting = [...this.downstreams.values()].filter((downstream) => downstream.state === 'waiting');
    const asked = waiting.flatMap((downstream) => downstream.held);
    const epoch = Math.max(-1, ...held.map((range) => range.epoch), ...asked.map((position) => position.epoch));
    const positions = new Map<string, HeldPosition>();
    for (const { track, layer, seq, epoch: of } of held) {
      if (of === epoch) positions.set(`${track}/${layer}`, { epoch, track, layer, seq });
    }
    for (const position of olderThanHeld(asked, held)) {
      if (position.epoch !== epoch) continue;
      const key = `${position.track}/${position.layer}`;
      const known = positions.get(key);
      if (!known || position.seq < known.seq) positions.set(key, position);
    }
    return [...positions.values()];
  }
}

/** Positions older than what is held here, where the packets in between are still accepted. */
export function olderThanHeld(asked: HeldPosition[], held: HeldRange[]): HeldPosition[] {
  return asked.filter((position) => {
    const range = held.find(
      (other) => other.track === position.track && other.layer === position.layer && other.epoch === position.epoch,
    );
    return !range || (range.takesOlder && position.seq + 1 < range.from);
  });
}
