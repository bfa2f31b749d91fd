/** A heartbeat: keeps the trunk alive, measures RTT for both sides and reports what arrived (docs/trunk.md). Integers are little-endian. */
export interface Beat {
  /** Asks the peer to answer at once, so that the echo's delay is small. */
  answerWanted: boolean;
  /** The sender's announced longest gap between two datagrams, ms. */
  maxGapMs: number;
  /** The longest gap that the sender requests from the peer, ms. */
  requestedGapMs: number;
  /** Sender's clock in microseconds, modulo 2^32. */
  sentUs: number;
  /** `sentUs` of the peer's newest heartbeat and the time since its arrival, µs, as in RTCP's LSR and DLSR (RFC 3550, section 6.4.1). */
  echo: { sentUs: number; delayUs: number } | undefined;
  /** Datagrams sent by the peer, by its counters, and those received, both without probes; totals modulo 2^32. */
  expected: number;
  received: number;
  /** Path MTU probes sent, modulo 2^16: they are excluded from the loss figures. */
  probesSent: number;
}

export const BEAT_BYTES = 28;
const ANSWER_WANTED = 1;
const HAS_ECHO = 2;

export function writeBeat(beat: Beat, out: Buffer, offset: number): number {
  out[offset] = (beat.answerWanted ? ANSWER_WANTED : 0) | (beat.echo ? HAS_ECHO : 0);
  out[offset + 1] = 0;
  out.writeUInt16LE(beat.maxGapMs, offset + 2);
  out.writeUInt16LE(beat.requestedGapMs, offset + 4);
  out.writeUInt16LE(beat.probesSent & 0xffff, offset + 6);
  out.writeUInt32LE(beat.sentUs, offset + 8);
  out.writeUInt32LE(beat.echo?.sentUs ?? 0, offset + 12);
  out.writeUInt32LE(beat.echo?.delayUs ?? 0, offset + 16);
  out.writeUInt32LE(beat.expected >>> 0, offset + 20);
  return out.writeUInt32LE(beat.received >>> 0, offset + 24);
}

export function readBeat(body: Buffer): Beat | undefined {
  if (body.length < BEAT_BYTES) return undefined;
  const maxGapMs = body.readUInt16LE(2);
  const requestedGapMs = body.readUInt16LE(4);
  if (maxGapMs === 0 || requestedGapMs === 0) return undefined;
  return {
    answerWanted: (body[0]! & ANSWER_WANTED) !== 0,
    maxGapMs,
    requestedGapMs,
    probesSent: body.readUInt16LE(6),
    sentUs: body.readUInt32LE(8),
    echo: (body[0]! & HAS_ECHO) !== 0 ? { sentUs: body.readUInt32LE(12), delayUs: body.readUInt32LE(16) } : undefined,
    expected: body.readUInt32LE(20),
    received: body.readUInt32LE(24),
  };
}

export function beatTime(nowMs: number): number {
  return Math.floor(nowMs * 1000) % 0x1_0000_0000;
}
