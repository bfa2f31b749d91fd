import type { Chance } from './chance.ts';

/** How a request goes wrong; see testing/api-connection.ts. */
export type FailHow =
  'before' | 'after' | 'refuse' | 'stall' | 'stallAfter' | '409' | '410' | '422' | '429' | '500' | '503' | 'slow' | 'slowLost';

/** One thing that happens. Numbers stand for "one of those there are", so that a step means something in any state. */
export type Step =
  // What people do.
  | { do: 'scale'; edge: number; replicas: number }
  | { do: 'changeTemplate' | 'pause' | 'resume' | 'deleteEdge' | 'makeEdge' | 'cordon' | 'uncordon'; edge: number }
  | { do: 'setDrainTimeout'; edge: number; seconds: number }
  | { do: 'deletePod' | 'deleteMediaNode' | 'editStatus'; nth: number }
  | {
      do:
        'deleteMesh' | 'makeMesh' | 'deleteRoute' | 'makeRoute' | 'deleteKey' | 'deleteBudget' | 'deleteLease' | 'collectGarbage';
    }
  | { do: 'changePolicy'; nth: number }
  // What nodes and control do.
  | { do: 'join' | 'leave'; nth: number; sessions: number }
  | { do: 'podFails'; nth: number }
  | { do: 'stumble'; nth: number; ms: number }
  | { do: 'controlGoes' | 'controlStarts' }
  | { do: 'setRtt'; nth: number; ms: number }
  // What the API and the way to it do, for one operator process or (process 2) for both.
  | { do: 'fail'; process: number; how: FailHow; share: number; of: 'all' | 'reads' | 'writes' | 'pods' | 'status' | 'lease' }
  | { do: 'heal' | 'cut' | 'endWatches' | 'silence' | 'repeat' | 'goneEvent' | 'errorEvent' | 'onTime'; process: number }
  | { do: 'late'; process: number; of: 'all' | '/pods' | '/medianodes' | '/mediaedges' | '/relaymeshes' | '/leases' }
  | { do: 'compact' | 'backup' | 'restore' | 'bookmark' }
  | { do: 'restartApi'; ms: number }
  | { do: 'pageSize'; process: number; size: number }
  // What the operator's processes suffer.
  | { do: 'kill' | 'terminate' | 'stop' | 'continue'; process: number }
  | { do: 'killAtWrite'; process: number; write: number; done: boolean }
  | { do: 'wallJump'; process: number; ms: number }
  | { do: 'wait'; ms: number };

export interface Script {
  seed: number;
  /** Replicas at the start, an edge each. */
  replicas: number[];
  steps: Step[];
}

type Maker = (chance: Chance) => Step | Step[];

const process = (chance: Chance): number => chance.whole(0, 2);
/** Work for whoever leads. */
const work = (chance: Chance): Step => ({ do: 'scale', edge: chance.whole(0, 2), replicas: chance.whole(0, 3) });

/** One that stands by sees the past, and is made to lead by the death of the other. */
function staleLeader(chance: Chance): Step[] {
  const process = chance.whole(0, 1);
  return [
    { do: 'wait', ms: chance.pick([500, 8_000]) },
    { do: 'late', process, of: chance.pick(['all', 'all', '/pods', '/medianodes', '/mediaedges']) },
    work(chance),
    { do: 'wait', ms: chance.pick([500, 5_000]) },
    { do: 'kill', process: 1 - process },
    { do: 'wait', ms: 30_000 },
  ];
}

/** One that leads is stopped in the middle of its writes, and goes on when another leads. */
function sleepingLeader(chance: Chance): Step[] {
  const process = chance.whole(0, 1);
  return [
    { do: 'fail', process, how: 'slow', share: 1, of: chance.pick(['writes', 'pods', 'all']) },
    work(chance),
    work(chance),
    { do: 'wait', ms: chance.pick([1, 50, 500, 2_000]) },
    { do: 'stop', process },
    { do: 'wait', ms: 20_000 },
    { do: 'continue', process },
    { do: 'wait', ms: 2_000 },
    { do: 'heal', process },
  ];
}

const share = (chance: Chance): number => chance.pick([0.1, 0.3, 0.6, 1]);

const makers: [weight: number, maker: Maker][] = [
  [8, (c) => ({ do: 'scale', edge: c.whole(0, 2), replicas: c.whole(0, 3) })],
  [
    4,
    (c) => ({ do: c.pick(['changeTemplate', 'changeTemplate', 'pause', 'resume', 'cordon', 'uncordon']), edge: c.whole(0, 2) }),
  ],
  [2, (c) => ({ do: 'deleteEdge', edge: c.whole(0, 2) })],
  [2, (c) => ({ do: 'makeEdge', edge: c.whole(0, 2) })],
  [1, (c) => ({ do: 'setDrainTimeout', edge: c.whole(0, 2), seconds: c.pick([5, 20, 60]) })],
  [3, (c) => ({ do: c.pick(['deletePod', 'deletePod', 'deleteMediaNode', 'editStatus']), nth: c.whole(0, 9) })],
  [
    3,
    (c) => ({
      do: c.pick(['deleteMesh', 'makeMesh', 'deleteRoute', 'makeRoute', 'deleteBudget', 'deleteLease', 'collectGarbage']),
    }),
  ],
  [1, (c) => ({ do: 'changePolicy', nth: c.whole(0, 9) })],
  [6, (c) => ({ do: c.pick(['join', 'join', 'leave']), nth: c.whole(0, 9), sessions: c.whole(1, 3) })],
  [3, (c) => ({ do: 'podFails', nth: c.whole(0, 9) })],
  [2, (c) => ({ do: 'stumble', nth: c.whole(0, 9), ms: c.pick([500, 8_000, 40_000]) })],
  [2, (c) => ({ do: c.pick(['controlGoes', 'controlStarts']) })],
  [1, (c) => ({ do: 'setRtt', nth: c.whole(0, 9), ms: c.pick([1, 30, 100, 1_000]) })],
  [
    10,
    (c) => ({
      do: 'fail',
      process: process(c),
      how: c.pick<FailHow>([
        'before',
        'after',
        'refuse',
        'stall',
        'stallAfter',
        '409',
        '410',
        '422',
        '429',
        '500',
        '503',
        'slow',
        'slowLost',
        'after',
      ]),
      share: share(c),
      of: c.pick(['all', 'reads', 'writes', 'writes', 'pods', 'status', 'lease']),
    }),
  ],
  [5, (c) => ({ do: 'heal', process: process(c) })],
  [5, (c) => ({ do: c.pick(['cut', 'endWatches', 'silence', 'repeat', 'goneEvent', 'errorEvent']), process: process(c) })],
  [
    5,
    (c) => ({
      do: 'late',
      process: process(c),
      of: c.pick(['all', '/pods', '/medianodes', '/mediaedges', '/relaymeshes', '/leases']),
    }),
  ],
  [3, (c) => ({ do: 'onTime', process: process(c) })],
  [2, (c) => ({ do: c.pick(['compact', 'backup', 'bookmark']) })],
  [1, () => ({ do: 'restore' })],
  [1, (c) => ({ do: 'restartApi', ms: c.pick([100, 3_000, 20_000]) })],
  [1, (c) => ({ do: 'pageSize', process: process(c), size: c.whole(1, 3) })],
  [5, (c) => ({ do: c.pick(['kill', 'kill', 'terminate', 'stop', 'continue']), process: c.whole(0, 1) })],
  [6, (c) => ({ do: 'killAtWrite', process: c.whole(0, 1), write: c.whole(1, 8), done: c.isTrue(0.6) })],
  [1, (c) => ({ do: 'wallJump', process: process(c), ms: c.pick([-3_600_000, -5_000, 5_000, 3_600_000]) })],
  [2, staleLeader],
  [2, sleepingLeader],
  [20, (c) => ({ do: 'wait', ms: c.pick([0, 1, 50, 500, 2_000, 2_000, 8_000, 20_000]) })],
];
const totalWeight = makers.reduce((sum, [weight]) => sum + weight, 0);

/** A script from a seed. */
export function writeScript(seed: number, chance: Chance): Script {
  const replicas = [chance.whole(1, 3), chance.whole(0, 2), chance.whole(0, 1)];
  const steps = Array.from({ length: chance.whole(4, 24) }).flatMap(() => {
    let at = chance.next() * totalWeight;
    const [, maker] = makers.find(([weight]) => (at -= weight) < 0) ?? makers[0]!;
    return maker(chance);
  });
  return { seed, replicas, steps };
}
