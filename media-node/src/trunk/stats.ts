import type { ArqCounters } from './arq/arq.ts';
import type { ReassemblyCounters } from './arq/reassembly.ts';
import type { Association } from './association.ts';
import type { FecCounters } from './fec/decoder.ts';
import type { PeerAddress } from './io/datagram.ts';
import { headerBytes } from './mtu/path-mtu.ts';
import type { QueueCounters } from './scheduling/queues.ts';

export type TrunkState = 'connecting' | 'up' | 'lost' | 'closed';

/** Counted over all associations of a trunk. */
export interface TrunkTotals {
  sentBytes: number;
  receivedBytes: number;
  sent: number;
  received: number;
  lost: number;
  oversize: number;
}

export interface TrunkStats {
  peer: string;
  state: TrunkState;
  address: PeerAddress | undefined;
  rttMs: number;
  /** Interarrival jitter of heartbeats, as in RFC 3550. */
  jitterMs: number;
  /** In: percent of the peer's datagrams lost. Out: percent of ours lost or dropped before they were sent. */
  lossInPercent: number;
  lossOutPercent: number;
  /** Percent of our media that was dropped before it was sent, because the path carries less than we have. */
  droppedPercent: number;
  /** Estimated rate of the path; Infinity while it was never congested. */
  rateLimitKbps: number;
  /** Path MTU: size of the largest IP packet sent to the peer, bytes. 0 while the trunk is not up. */
  mtuBytes: number;
  /** UDP payload bytes. These and the next five count over the trunk's lifetime. */
  sentBytes: number;
  receivedBytes: number;
  sentDatagrams: number;
  receivedDatagrams: number;
  timesLost: number;
  /** Payloads refused as too large. */
  oversize: number;
  rebinds: number;
  /** Counted since the last 'up'; absent before the first. */
  association:
    | {
        queuedBytes: number;
        arq: ArqCounters;
        fec: FecCounters & { paritySent: number };
        queues: QueueCounters;
        reassembly: ReassemblyCounters;
        /** Media dropped because its conversation had too much unacknowledged. */
        windowFull: number;
        /** Authenticated datagrams whose content was malformed. */
        malformed: number;
      }
    | undefined;
}

interface MeasuredTrunk {
  readonly peer: string;
  readonly state: TrunkState;
  readonly link: { readonly address: PeerAddress | undefined; readonly rebinds: number };
}

export function trunkStats(trunk: MeasuredTrunk, totals: TrunkTotals, association: Association | undefined): TrunkStats {
  const loss = association?.liveness.loss;
  const dropped = association?.dropped ?? 0;
  return {
    peer: trunk.peer,
    state: trunk.state,
    address: trunk.link.address,
    rttMs: association?.liveness.rttMs ?? 0,
    jitterMs: association?.liveness.jitterMs ?? 0,
    lossInPercent: (loss?.in ?? 0) * 100,
    lossOutPercent: (1 - (1 - (loss?.out ?? 0)) * (1 - dropped)) * 100,
    droppedPercent: dropped * 100,
    rateLimitKbps: (association?.outbox.rate.bytesPerMs ?? Infinity) * 8,
    mtuBytes:
      trunk.state === 'up' && association && trunk.link.address
        ? association.mtu.size + headerBytes(trunk.link.address.address)
        : 0,
    sentBytes: totals.sentBytes,
    receivedBytes: totals.receivedBytes,
    sentDatagrams: totals.sent,
    receivedDatagrams: totals.received,
    timesLost: totals.lost,
    oversize: totals.oversize,
    rebinds: trunk.link.rebinds,
    association: association && {
      queuedBytes: association.outbox.queues.queuedBytes,
      arq: { ...association.arq.counters },
      fec: { ...association.decoder.counters, paritySent: association.outbox.counters.paritySent },
      queues: copyOf(association.outbox.queues.counters),
      reassembly: { ...association.arq.reassembly.counters },
      windowFull: association.outbox.counters.windowFull,
      malformed: association.malformed,
    },
  };
}

/** Copied by hand: this runs for each stream of a relay, and structuredClone takes twenty times as long. */
function copyOf({ overdue, evicted, broken, offered, retransmissionsDeferred }: QueueCounters): QueueCounters {
  return { overdue: { ...overdue }, evicted: { ...evicted }, broken: { ...broken }, offered, retransmissionsDeferred };
}
