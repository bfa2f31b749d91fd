import { MAX_MEDIA_FRAME_BYTES } from '@millrace/api/trunk';
import { Slab } from '../link/slab.ts';
import { fragmentsAfter, fragmentsBefore, MAX_MEDIA_FRAGMENTS } from './segment.ts';

/** Largest payload of `sendMedia`. */
export const MAX_MEDIA_PAYLOAD = MAX_MEDIA_FRAME_BYTES;
/** Most bytes of incomplete payloads, for each peer. */
const MAX_WAITING_BYTES = 2 * 1024 * 1024;
/** A small fragment keeps a larger buffer alive, so it counts as at least this much. */
const MIN_COUNTED_BYTES = 1024;

/** Low bits of a serial that identify it within a conversation. More than any window. */
const SERIALS = 2 ** 20;

const assembled = new Slab();

interface PartialPayload {
  parts: (Buffer | undefined)[];
  have: number;
  bytes: number;
  countedBytes: number;
  sinceMs: number;
}

export interface ReassemblyCounters {
  /** Payloads dropped because some of their fragments never arrived. */
  incomplete: number;
  /** Fragments that contradict each other, or whose payload would be too large. */
  refused: number;
}

/** Reassembles media payloads from fragments in any order. Bounded: above the limit the oldest incomplete payloads are dropped. */
export class Reassembly {
  readonly counters: ReassemblyCounters = { incomplete: 0, refused: 0 };
  private countedBytes = 0;
  private readonly waiting = new Map<number, PartialPayload>();

  /** Adds a fragment that was not seen before (`fragment` is not 0); returns the payload when it is complete. */
  add(conversation: number, serial: number, fragment: number, part: Buffer, nowMs: number): Buffer | undefined {
    const before = fragmentsBefore(fragment);
    const count = before + fragmentsAfter(fragment) + 1;
    if (count > MAX_MEDIA_FRAGMENTS || part.length === 0) return this.refuse();
    const key = conversation * SERIALS + (((serial - before) >>> 0) % SERIALS);
    let payload = this.waiting.get(key);
    if (!payload) {
      payload = {
        parts: new Array<Buffer | undefined>(count).fill(undefined),
        have: 0,
        bytes: 0,
        countedBytes: 0,
        sinceMs: nowMs,
      };
      this.waiting.set(key, payload);
    }
    if (payload.parts.length !== count || payload.parts[before] || payload.bytes + part.length > MAX_MEDIA_PAYLOAD) {
      this.remove(key, payload);
      return this.refuse();
    }
    payload.parts[before] = part;
    payload.have++;
    payload.bytes += part.length;
    const counted = Math.max(MIN_COUNTED_BYTES, part.length);
    payload.countedBytes += counted;
    this.countedBytes += counted;
    if (payload.have === count) {
      this.remove(key, payload);
      return join(payload);
    }
    this.makeRoom();
    return undefined;
  }

  /** Drops payloads begun before `sinceMs`: the receiver has given up on their missing fragments. */
  dropBefore(sinceMs: number): void {
    for (const [key, payload] of this.waiting) {
      if (payload.sinceMs >= sinceMs) return;
      this.counters.incomplete++;
      this.remove(key, payload);
    }
  }

  private makeRoom(): void {
    for (const [key, payload] of this.waiting) {
      if (this.countedBytes <= MAX_WAITING_BYTES) return;
      this.counters.incomplete++;
      this.remove(key, payload);
    }
  }

  private remove(key: number, payload: PartialPayload): void {
    this.waiting.delete(key);
    this.countedBytes -= payload.countedBytes;
  }

  private refuse(): undefined {
    this.counters.refused++;
    return undefined;
  }
}

function join({ parts, bytes }: PartialPayload): Buffer {
  const whole = assembled.take(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part!, at);
    at += part!.length;
  }
  return whole;
}
