import { BASE_DATAGRAM, MAX_DATAGRAM, MIN_DATAGRAM } from '../link/wire.ts';

/** IP MTUs met in practice: IPv6's minimum, tunnels over the internet, WireGuard, overlays, Google Cloud, Ethernet. */
const IP_MTUS = [1280, 1400, 1420, 1440, 1460, 1500];
/** UDP payloads below the base: IP MTUs of 576, 768 and 1,024 bytes over IPv4. */
const SMALL_DATAGRAMS = [MIN_DATAGRAM, 740, 996];
/** Size of a probe that every path carries: missing answers to others count only when one is answered. */
const CONTROL_PROBE = 100;

/** PMTU_RAISE_TIMER of RFC 8899, section 5.1.1, and a little, so that what the kernel learnt from ICMP (600 s on Linux) is forgotten by then. */
const RAISE_AFTER_MS = 630_000;
/** No answer at all, not even to the small probe: the path is down or very lossy. */
const AGAIN_AFTER_MS = 1_000;
/** By then the loss of the path is known. */
const LOOK_AT_GAP_MS = 5_000;
const MIN_WAIT_MS = 100;
const WAIT_RTTS = 3;
/** While the RTT is not known. */
const UNKNOWN_RTT_WAIT_MS = 1_000;
/** Above this loss (0 to 1), a missing answer is as likely due to loss as to size. */
const LOSSY = 0.01;
/** Unanswered rounds before a size in use is given up. */
const ROUNDS = 2;
const ROUNDS_WHERE_LOSSY = 4;
const MIN_SUSPECT_PAUSE_MS = 1_000;
const MAX_SUSPECT_PAUSE_MS = 60_000;

/** Bytes of IP and UDP headers around a datagram to this address. */
export function headerBytes(address: string): number {
  return address.includes(':') && !address.startsWith('::ffff:') ? 48 : 28;
}

export interface PathSigns {
  /** 0 while unknown. */
  rttMs: number;
  /** Loss of our datagrams, 0 to 1. */
  loss: number;
}

/** Probes to be sent at once, one datagram of each size, in this order. */
export interface ProbeRound {
  round: number;
  sizes: readonly number[];
}

interface Round {
  sizes: number[];
  answered: Set<number>;
  /** Rounds of these sizes so far. */
  tries: number;
}

/**
 * Datagram Packetization Layer PMTU Discovery (RFC 8899) for one path: which UDP payload gets through, by probes that carry no media.
 *
 * A round sends one probe of each size, smallest first, and one that is small enough for any path. What it finds is the largest size below
 * which no answer is missing. On a path without loss no second try is given to a missing size: Linux sends what exceeds an MTU that it
 * learnt from ICMP in IP fragments, so that every later probe would get through, at the cost of two packets for each datagram.
 */
export class PathMtu {
  /** Largest UDP payload in use, bytes. */
  size = BASE_DATAGRAM;
  /** Candidate sizes, ascending; empty until `begin`. */
  private sizes: number[] = [];
  /** A larger size was answered behind a gap: loss, or the kernel's fragments. */
  private hasGap = false;
  private current: Round | undefined;
  private round = 0;
  private dueAtMs = Infinity;
  /** The round under way is for something that did not get through. */
  private isSuspicion = false;
  private suspectAfterMs = -Infinity;
  private suspectPauseMs = MIN_SUSPECT_PAUSE_MS;

  /** Sets out to find what the path carries. `maxDatagram`: what the interface sends in one piece and the peer takes. `headers`: of IP and UDP. */
  begin(maxDatagram: number, headers: number, nowMs: number): void {
    const max = Math.max(MIN_DATAGRAM, Math.min(maxDatagram, MAX_DATAGRAM));
    const sizes = [...SMALL_DATAGRAMS, BASE_DATAGRAM, ...IP_MTUS.map((mtu) => mtu - headers), max];
    this.sizes = [...new Set(sizes)].filter((size) => size <= max).sort((a, b) => a - b);
    this.size = Math.min(this.size, max);
    this.start(this.from(this.size), nowMs);
  }

  /** When `service` has to be called. */
  get dueMs(): number {
    return this.dueAtMs;
  }

  /** Whether it is in doubt that `size` gets through. */
  get isInDoubt(): boolean {
    return this.current !== undefined && (this.current.tries > 1 || this.current.sizes[1]! < this.size);
  }

  /** A segment that was sent again and again did not get through: is it its size? */
  suspect(nowMs: number): void {
    if (this.current || nowMs < this.suspectAfterMs || this.sizes.length === 0) return;
    this.isSuspicion = true;
    this.start(this.upTo(this.size), nowMs);
  }

  /** The peer is somewhere else now: what was found out held for another path. */
  moved(nowMs: number): void {
    if (this.sizes.length > 0) this.start([...this.sizes], nowMs);
  }

  answered(round: number, size: number): void {
    if (round !== this.round || !this.current?.sizes.includes(size)) return;
    this.current.answered.add(size);
    if (this.current.answered.size === this.current.sizes.length) this.dueAtMs = -Infinity;
  }

  /** Judges the round that is over; the next one to send, when there is one. */
  service(nowMs: number, signs: PathSigns): ProbeRound | undefined {
    if (nowMs < this.dueAtMs) return undefined;
    const isLossy = signs.loss > LOSSY;
    if (!this.current && this.hasGap && !isLossy) {
      this.hasGap = false;
      this.dueAtMs = nowMs + RAISE_AFTER_MS;
      return undefined;
    }
    const current = this.current ?? this.begun(this.from(this.size));
    if (current.tries > 0) this.judge(current, nowMs, isLossy);
    if (!this.current || nowMs < this.dueAtMs) return undefined;
    return this.send(this.current, nowMs, signs.rttMs);
  }

  private send(current: Round, nowMs: number, rttMs: number): ProbeRound {
    current.tries++;
    this.dueAtMs = nowMs + (rttMs > 0 ? Math.max(MIN_WAIT_MS, rttMs * WAIT_RTTS) : UNKNOWN_RTT_WAIT_MS);
    this.round = (this.round + 1) >>> 0;
    return { round: this.round, sizes: current.sizes };
  }

  private judge(current: Round, nowMs: number, isLossy: boolean): void {
    if (current.answered.size === 0) {
      current.tries = 0;
      this.dueAtMs = nowMs + AGAIN_AFTER_MS;
      return;
    }
    const largest = Math.max(...current.answered);
    const best = isLossy ? largest : lastBeforeGap(current);
    this.hasGap = best < largest;
    if (best >= this.size) return this.settle(best, nowMs);
    if (current.tries < (isLossy ? ROUNDS_WHERE_LOSSY : ROUNDS)) {
      this.dueAtMs = nowMs;
      return;
    }
    const isWhole = current.sizes[1] === this.sizes[0];
    if (isWhole) this.settle(Math.max(best, this.sizes[0]!), nowMs);
    else this.start(this.upTo(this.size), nowMs);
  }

  /** Keeps what was found until it is time to look whether more has become possible. */
  private settle(size: number, nowMs: number): void {
    if (size < this.size) this.suspectPauseMs = MIN_SUSPECT_PAUSE_MS;
    else if (this.isSuspicion) {
      this.suspectAfterMs = nowMs + this.suspectPauseMs;
      this.suspectPauseMs = Math.min(MAX_SUSPECT_PAUSE_MS, this.suspectPauseMs * 2);
    }
    this.isSuspicion = false;
    this.size = size;
    this.current = undefined;
    const isLargest = size === this.sizes.at(-1);
    this.dueAtMs = isLargest ? Infinity : nowMs + (this.hasGap ? LOOK_AT_GAP_MS : RAISE_AFTER_MS);
  }

  private start(sizes: number[], nowMs: number): void {
    this.current = this.begun(sizes);
    this.dueAtMs = nowMs;
  }

  private begun(sizes: number[]): Round {
    this.current = { sizes: [CONTROL_PROBE, ...sizes], answered: new Set(), tries: 0 };
    return this.current;
  }

  private from(size: number): number[] {
    return this.sizes.filter((each) => each >= size);
  }

  private upTo(size: number): number[] {
    return this.sizes.filter((each) => each <= size);
  }
}

function lastBeforeGap({ sizes, answered }: Round): number {
  const gap = sizes.findIndex((size) => !answered.has(size));
  return gap < 0 ? sizes.at(-1)! : (sizes[gap - 1] ?? 0);
}
