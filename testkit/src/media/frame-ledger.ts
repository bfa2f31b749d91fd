import { longestGap } from '../statistics.ts';

/** As it came. */
export interface ReceivedPacket {
  readonly sequence: number;
  readonly timestamp: number;
  readonly marker: boolean;
  readonly atMs: number;
}

export interface FrameTally {
  /** Frames of which every packet came. */
  readonly complete: number;
  /** Frames of the publisher's between the first and the last seen, of which a packet, or all, never came. */
  readonly missingFrames: number;
  readonly missingPackets: number;
  /** Longest time between two neighbours of the complete frames; a frame counts from when it and all before it were whole. */
  readonly longestGapMs: number;
}

/**
 * What of a stream of constant frame rate came, by its RTP sequence numbers and timestamps (RFC 3550, RFC 6184: the marker ends a frame).
 * The first frame may have been joined in its middle: it only says from where to count.
 */
export function accountFrames(packets: readonly ReceivedPacket[], ticksPerFrame: number): FrameTally {
  const bySequence = new Map<number, ReceivedPacket>();
  let [sequence, timestamp] = [packets[0]?.sequence ?? 0, packets[0]?.timestamp ?? 0];
  for (const packet of packets) {
    sequence += ((packet.sequence - sequence) << 16) >> 16;
    timestamp += (packet.timestamp - timestamp) | 0;
    if (!bySequence.has(sequence)) bySequence.set(sequence, { ...packet, sequence, timestamp });
  }
  const sorted = [...bySequence.values()].sort((a, b) => a.sequence - b.sequence);
  const ends = sorted.filter(({ marker }) => marker);
  const [first, last] = [ends[0], ends[ends.length - 1]];
  if (!first || !last || first === last) return { complete: 0, missingFrames: 0, missingPackets: 0, longestGapMs: 0 };

  const counted = sorted.filter((packet) => packet.sequence > first.sequence && packet.sequence <= last.sequence);
  const times = completionTimes(counted, first);
  return {
    complete: times.length,
    missingFrames: (last.timestamp - first.timestamp) / ticksPerFrame - times.length,
    missingPackets: last.sequence - first.sequence - counted.length,
    longestGapMs: longestGap([first.atMs, ...times]),
  };
}

/** When each frame that is whole became so, none before the one ahead of it. */
function completionTimes(sorted: readonly ReceivedPacket[], before: ReceivedPacket): number[] {
  const times: number[] = [];
  let previous = before;
  let wholeAtMs = before.atMs;
  let isWhole = true;
  for (const packet of sorted) {
    if (packet.sequence !== previous.sequence + 1) isWhole = false;
    wholeAtMs = Math.max(wholeAtMs, packet.atMs);
    if (packet.marker) {
      if (isWhole) times.push(wholeAtMs);
      isWhole = true;
    }
    previous = packet;
  }
  return times;
}
