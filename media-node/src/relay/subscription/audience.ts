import { MAX_PATH_HOPS, type StreamDescription } from '@millrace/api/trunk';
import type { MeasuredPath, SubscriptionEffects } from './effects.ts';
import type { Downstream, Wants } from './wants.ts';

/** Notifies downstream nodes about one stream. */
export class Audience {
  readonly #stream: string;
  readonly #self: string;
  readonly #wants: Wants;
  readonly #effects: SubscriptionEffects;

  constructor(stream: string, self: string, wants: Wants, effects: SubscriptionEffects) {
    this.#stream = stream;
    this.#self = self;
    this.#wants = wants;
    this.#effects = effects;
  }

  /** The stream flows: confirms all waiting subscriptions. */
  confirm(description: StreamDescription | undefined, upstream: readonly string[]): void {
    if (!description) return;
    const { epoch, tracks, grant } = description;
    const path = this.#pathThrough(upstream);
    for (const downstream of this.#wants.downstreams.values()) {
      if (downstream.state === 'standing') continue;
      downstream.state = 'standing';
      this.#effects.sendDownstream(downstream.peer, { type: 'subscribed', id: downstream.id, epoch, tracks, grant, path });
    }
  }

  describe({ epoch, tracks, grant }: StreamDescription): void {
    for (const { peer, id, state } of this.#wants.downstreams.values()) {
      if (state === 'standing') this.#effects.sendDownstream(peer, { type: 'tracks', id, epoch, tracks, grant });
    }
  }

  reportPath({ nodes, rttMs, lossPercent }: MeasuredPath): void {
    const path = this.#pathThrough(nodes);
    for (const { peer, id, state } of this.#wants.downstreams.values()) {
      if (state === 'standing') this.#effects.sendDownstream(peer, { type: 'path', id, path, rttMs, lossPercent });
    }
  }

  /**
   * No route is left here, but downstream nodes may have one. Confirmed subscriptions are told `lost` and stay, since they may have no other
   * route either; waiting ones are refused.
   */
  lose(reason: string): void {
    for (const downstream of [...this.#wants.downstreams.values()]) {
      const { peer, id, state } = downstream;
      if (state === 'standing') {
        downstream.state = 'lost';
        this.#effects.sendDownstream(peer, { type: 'lost', id, reason });
      } else if (state === 'waiting') {
        this.#effects.sendDownstream(peer, { type: 'refused', id, code: 'unknown-stream', reason });
        this.remove(downstream);
      }
    }
  }

  /** The publisher left. */
  end(epoch: number, reason: string): void {
    for (const downstream of [...this.#wants.downstreams.values()]) {
      this.#effects.sendDownstream(downstream.peer, { type: 'ended', id: downstream.id, epoch, reason });
      this.remove(downstream);
    }
  }

  remove(downstream: Downstream): void {
    this.#wants.downstreams.delete(downstream.peer);
    this.#effects.stopServing(this.#stream, downstream);
  }

  #pathThrough(upstream: readonly string[]): string[] {
    return [this.#self, ...upstream].slice(0, MAX_PATH_HOPS);
  }
}
