import type { Clock } from '@millrace/service';
import type { types } from 'mediasoup';
import { listenToWorker } from './worker-log.ts';

/**
 * RTP that a media worker received and that belongs to no track. mediasoup counts it nowhere and reports it only in its log, without the transport
 * that it came over.
 */
export interface UnclaimedPackets {
  /** No producer has the SSRC, and the packets carry no MID or RID of one. */
  unknown: { ssrc: number; payloadType: number; packets: number }[];
  /** A producer was found by SSRC, MID or RID, but the SSRC or the payload type is none of its own. */
  refusedSsrcs: number[];
  /** Payload types of packets that belong to a running track by their SSRC. */
  unknownPayloadTypes: number[];
  /** SSRCs of packets that could not be decrypted. */
  undecryptable: number[];
}

/** Long enough for a few packets of an audio track or of a video track with few frames. */
const WINDOW_MS = 300;
/** The worker writes a line for each packet: after these the probe has seen enough. */
const MAX_LINES = 64;
/** Distinct values that are kept of each kind. */
const MAX_DISTINCT = 16;

const running = new WeakMap<types.Worker, Promise<UnclaimedPackets>>();

/** Has the worker log unclaimed packets for a short time. Probes of one worker at a time share what it sees. Rejects when the worker is gone. */
export function probeUnclaimed(worker: types.Worker, clock: Clock): Promise<UnclaimedPackets> {
  const shared = running.get(worker);
  if (shared) return shared;
  const probe = openWindow(worker, clock).finally(() => running.delete(worker));
  running.set(worker, probe);
  return probe;
}

async function openWindow(worker: types.Worker, clock: Clock): Promise<UnclaimedPackets> {
  const seen = new UnclaimedLog();
  const full = Promise.withResolvers<void>();
  const timer = clock.setTimeout(() => full.resolve(), WINDOW_MS);
  const stop = listenToWorker(worker.pid, (line) => {
    if (seen.add(line) >= MAX_LINES) full.resolve();
  });
  try {
    await worker.updateSettings({ logTags: ['rtp', 'srtp'] });
    await full.promise;
    await worker.updateSettings({ logTags: [] });
  } finally {
    stop();
    clock.clearTimeout(timer);
  }
  return seen.packets();
}

/** Reads the worker's warnings. */
export class UnclaimedLog {
  readonly #unknown = new Map<string, { ssrc: number; payloadType: number; packets: number }>();
  readonly #refused = new Set<number>();
  readonly #payloadTypes = new Set<number>();
  readonly #undecryptable = new Set<number>();
  #lines = 0;

  /** @returns how many lines there have been */
  add(line: string): number {
    this.#lines += 1;
    const ssrc = numberIn(line, 'ssrc');
    const payloadType = numberIn(line, 'payloadType');
    if (line.includes('no suitable Producer for received RTP packet')) this.#addUnknown(ssrc, payloadType);
    else if (line.includes('no stream found for received packet')) keep(this.#refused, ssrc);
    else if (line.includes('unknown payload type')) keep(this.#payloadTypes, payloadType);
    else if (line.includes('DecryptSrtp() failed')) keep(this.#undecryptable, ssrc);
    return this.#lines;
  }

  /** The SSRCs with the most packets first. */
  packets(): UnclaimedPackets {
    return {
      unknown: [...this.#unknown.values()].sort((a, b) => b.packets - a.packets),
      refusedSsrcs: [...this.#refused],
      unknownPayloadTypes: [...this.#payloadTypes],
      undecryptable: [...this.#undecryptable],
    };
  }

  #addUnknown(ssrc: number | undefined, payloadType: number | undefined): void {
    if (ssrc === undefined || payloadType === undefined) return;
    const key = `${ssrc}/${payloadType}`;
    const known = this.#unknown.get(key);
    if (known) known.packets += 1;
    else if (this.#unknown.size < MAX_DISTINCT) this.#unknown.set(key, { ssrc, payloadType, packets: 1 });
  }
}

function keep(set: Set<number>, value: number | undefined): void {
  if (value !== undefined && set.size < MAX_DISTINCT) set.add(value);
}

function numberIn(line: string, name: string): number | undefined {
  const digits = new RegExp(`\\b${name}:(\\d{1,10})\\b`).exec(line)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
