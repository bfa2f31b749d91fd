import { longestGap } from '../statistics.ts';

/** The fields of a received packet; `atMs` is its time of arrival. */
export interface ReceivedPacket {
  readonly sequence: number;
  readonly timestamp: number;
  readonly marker: boolean;
  readonly atMs: number;
}

export interface FrameTally {
  /** Frames of which every packet arrived. */
  readonly complete: number;
  /** The publisher's frames between the first and the last one seen of which at least one packet is missing. */
  readonly missingFrames: number;
  readonly missingPackets: number;
  /** The longest time between two successive complete frames. A frame's time is when it and all earlier packets had arrived. */
  readonly longestGapMs: number;
}

/** A place in a stream where packets or frames are missing. */
export interface Hole {
  /** The arrival time of the first packet after it. */
  readonly atMs: number;
  readonly packets: number;
  /** The frames between those of the packets before and after it. */
  readonly frames: number;
}

/** The places in which packets, or frames by their timestamps, are missing, in the order of their sequence numbers. */
export function findHoles(packets: readonly ReceivedPacket[], ticksPerFrame: number): Hole[] {
  return inOrder(packets).flatMap((packet, i, sorted) => {
    const before = sorted[i - 1];
    if (!before) return [];
    const missing = packet.sequence - before.sequence - 1;
    const frames = (packet.timestamp - before.timestamp) / ticksPerFrame - 1;
    return missing > 0 || frames > 0 ? [{ atMs: packet.atMs, packets: missing, frames: Math.max(0, frames) }] : [];
  });
}

/**
 * Counts the received frames of a stream with a constant frame rate by RTP sequence numbers and timestamps (RFC 3550, RFC 6184: the
 * marker ends a frame). The first frame may be incomplete, because the viewer may have joined in its middle: counting starts after it.
 */
export function accountFrames(packets: readonly ReceivedPacket[], ticksPerFrame: number): FrameTally {
  const sorted = inOrder(packets);
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

/** Without duplicates, by sequence number; sequence numbers and timestamps continue where those of RTP wrap around. */
function inOrder(packets: readonly ReceivedPacket[]): ReceivedPacket[] {
  const bySequence = new Map<number, ReceivedPacket>();
  let [sequence, timestamp] = [packets[0]?.sequence ?? 0, packets[0]?.timestamp ?? 0];
  for (const packet of packets) {
    sequence += ((packet.sequence - sequence) << 16) >> 16;
    timestamp += (packet.timestamp - timestamp) | 0;
    if (!bySequence.has(sequence)) bySequence.set(sequence, { ...packet, sequence, timestamp });
  }
  return [...bySequence.values()].sort((a, b) => a.sequence - b.sequence);
}

/** The completion time of each complete frame; none is earlier than that of the previous frame. */
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
