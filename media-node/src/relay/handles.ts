import { EventEmitter } from 'node:events';
import type { StreamDescription, TrackDescription } from '@millrace/api/trunk';
import type { EgressRoute, EgressStats } from './commands.ts';
import type { Attachment } from './egress/index.ts';
import type { LayerSource } from './ingest.ts';
import type { IngestCounters } from './ingest-counters.ts';
import type { RelayRunner } from './relay-runner.ts';
import type { SocketAddress } from './rtp-sockets.ts';
import type { MeasuredPath } from './subscription/index.ts';

/** The main thread's handle of an ingest: a publisher whose RTP the relay receives. */
export class IngestHandle extends EventEmitter<{
  keyframe: [track: number, layer: number];
  tracks: [TrackDescription[]];
  closed: [];
}> {
  readonly id: string;
  /** Where mediasoup's plain transport sends its RTP and RTCP. */
  readonly address: SocketAddress;
  readonly #runner: RelayRunner;

  constructor(runner: RelayRunner, id: string, address: SocketAddress) {
    super();
    this.#runner = runner;
    this.id = id;
    this.address = address;
  }

  /** From now on these layers' packets have other SSRCs. */
  setSources(sources: LayerSource[]): Promise<void> {
    return this.#runner.call('setSources', { id: this.id, sources });
  }

  /** The publisher's round-trip time from its RTCP; bounds how long the gate waits for order. */
  /** Control has signed the grant of this epoch with another key. */
  setGrant(grant: string): Promise<void> {
    return this.#runner.call('setGrant', { id: this.id, grant });
  }

  setRtt(rttMs: number): Promise<void> {
    return this.#runner.call('setRtt', { id: this.id, rttMs });
  }

  /** The highest bit rate of the whole stream, kbps; undefined: no limit. Beyond it the gate withholds layers and frames. */
  setLimit(maxKbps: number | undefined): Promise<void> {
    return this.#runner.call('setLimit', { id: this.id, maxKbps });
  }

  stats(): Promise<IngestCounters> {
    return this.#runner.call('ingestStats', { id: this.id });
  }

  /** Ends the stream for all subscribers, who receive the reason. */
  async close(reason: string): Promise<void> {
    this.emit('closed');
    await this.#runner.call('closeIngest', { id: this.id, reason });
  }
}

export interface EgressEvents {
  /** Tracks or epoch are known or have changed. */
  description: [StreamDescription];
  /** The path, its RTT and loss; emitted on each change and every two seconds. */
  path: [MeasuredPath];
  flowing: [reason: string];
  /** No route to the stream works. The relay keeps retrying its routes; `reroute` gives it others. */
  lost: [reason: string];
  /** The publisher left; the relay waits for the next publisher of the same name. */
  ended: [reason: string];
  closed: [];
}

/** The main thread's handle of an egress: a stream that the relay sends to mediasoup. */
export class EgressHandle extends EventEmitter<EgressEvents> {
  readonly id: string;
  readonly #runner: RelayRunner;
  #description: StreamDescription | undefined;
  #path: MeasuredPath = { nodes: [], rttMs: 0, lossPercent: 0 };

  constructor(runner: RelayRunner, id: string) {
    super();
    this.#runner = runner;
    this.id = id;
    this.on('description', (description) => (this.#description = description));
    this.on('path', (path) => (this.#path = path));
  }

  /** The latest description; undefined before the first. */
  description(): StreamDescription | undefined {
    return this.#description;
  }

  /** The last measurement: nodes upstream, nearest first; RTT and loss summed over the path's trunks. */
  path(): MeasuredPath {
    return this.#path;
  }

  /** Resolves once the stream's tracks are known; rejects after `timeoutMs` with the reason of the last failed route. */
  described(timeoutMs: number): Promise<StreamDescription> {
    if (this.#description) return Promise.resolve(this.#description);
    return new Promise((resolve, reject) => {
      let why = 'no answer';
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        this.off('description', onDescription).off('lost', onSetback).off('ended', onSetback).off('closed', onClosed);
        finish();
      };
      const onDescription = (description: StreamDescription) => settle(() => resolve(description));
      // Not final: the relay retries, so a trunk that breaks during set-up does not fail the viewer.
      const onSetback = (reason: string) => (why = reason);
      const onClosed = () => settle(() => reject(new Error('the egress was closed')));
      const onTimeout = () => settle(() => reject(new Error(`the stream did not come within ${timeoutMs} ms: ${why}`)));
      const timer = setTimeout(onTimeout, timeoutMs);
      this.on('description', onDescription).on('lost', onSetback).on('ended', onSetback).on('closed', onClosed);
    });
  }

  /** Sends a track to one more plain transport. Resolves to the local address, which sends its packets and receives its RTCP. */
  attach(track: number, attachment: Attachment): Promise<SocketAddress> {
    return this.#runner.call('attach', { id: this.id, track, attachment });
  }

  detach(track: number, to: SocketAddress, ssrc: number): Promise<void> {
    return this.#runner.call('detach', { id: this.id, track, to, ssrc });
  }

  /** Requests layers: bit n of the mask is layer n. Layers that nobody requests are not subscribed upstream. */
  setLayers(track: number, mask: number): Promise<void> {
    return this.#runner.call('setLayers', { id: this.id, track, mask });
  }

  requestKeyframe(track: number, layer: number): Promise<void> {
    return this.#runner.call('requestKeyframe', { id: this.id, track, layer });
  }

  /** Changes the route to the stream, make before break. */
  reroute(route: EgressRoute): Promise<void> {
    return this.#runner.call('reroute', { id: this.id, ...route });
  }

  stats(): Promise<EgressStats> {
    return this.#runner.call('egressStats', { id: this.id });
  }

  async close(): Promise<void> {
    this.emit('closed');
    await this.#runner.call('closeEgress', { id: this.id });
  }
}
