/** A heartbeat: keeps the trunk alive, measures its RTT both ways and reports what arrived (docs/trunk.md). */
export interface Beat {
  /** The peer is to answer at once, so that the echo's delay is small. */
  answerWanted: boolean;
  /** Until told otherwise the sender lets at most this much time pass between two datagrams, ms. */
  promiseMs: number;
  /** It asks the peer for at most this, ms. */
  wishMs: number;
  /** Sender's clock in microseconds, modulo 2^32. */
  sentUs: number;
  /** `sentUs` of the peer's newest beat and how long ago it came, as in RTCP's LSR and DLSR (RFC 3550, section 6.4.1). */
  echo: { sentUs: number; delayUs: number } | undefined;
  /** Datagrams that the peer has sent, by its counters, and of those the ones that came, both without probes; totals modulo 2^32. */
  expected: number;
  received: number;
  /** Probes of the path MTU that this sender has sent, modulo 2^16: whether they come says nothing about loss. */
  probesSent: number;
}

export const BEAT_BYTES = 28;
const ANSWER_WANTED = 1;
const HAS_ECHO = 2;

export function writeBeat(beat: Beat, out: Buffer, offset: number): number {
  out[offset] = (beat.answerWanted ? ANSWER_WANTED : 0) | (beat.echo ? HAS_ECHO : 0);
  out[offset + 1] = 0;
  out.writeUInt16LE(beat.promiseMs, offset + 2);
  out.writeUInt16LE(beat.wishMs, offset + 4);
  out.writeUInt16LE(beat.probesSent & 0xffff, offset + 6);
  out.writeUInt32LE(beat.sentUs, offset + 8);
  out.writeUInt32LE(beat.echo?.sentUs ?? 0, offset + 12);
  out.writeUInt32LE(beat.echo?.delayUs ?? 0, offset + 16);
  out.writeUInt32LE(beat.expected >>> 0, offset + 20);
  return out.writeUInt32LE(beat.received >>> 0, offset + 24);
}

export function readBeat(body: Buffer): Beat | undefined {
  if (body.length < BEAT_BYTES) return undefined;
  const promiseMs = body.readUInt16LE(2);
  const wishMs = body.readUInt16LE(4);
  if (promiseMs === 0 || wishMs === 0) return undefined;
  return {
    answerWanted: (body[0]! & ANSWER_WANTED) !== 0,
    promiseMs,
    wishMs,
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
