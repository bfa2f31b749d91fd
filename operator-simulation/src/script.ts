import type { RandomSource } from './random.ts';

/** How a request fails; see `Outcome` in testkit/src/kube-api/model.ts. */
export type FailHow =
  'before' | 'after' | 'refuse' | 'stall' | 'stallAfter' | '409' | '410' | '422' | '429' | '500' | '503' | 'slow' | 'slowLost';

/** One action. `nth` is taken modulo the number of existing objects, so that a step is valid in any state. */
export type Step =
  // Actions of users.
  | { do: 'scale'; edge: number; replicas: number }
  | { do: 'changeTemplate' | 'pause' | 'resume' | 'deleteEdge' | 'createEdge' | 'cordon' | 'uncordon'; edge: number }
  | { do: 'setDrainTimeout'; edge: number; seconds: number }
  | { do: 'deletePod' | 'deleteMediaNode' | 'editStatus'; nth: number }
  | {
      do:
        | 'deleteMesh'
        | 'createMesh'
        | 'deleteRoute'
        | 'createRoute'
        | 'deleteKey'
        | 'deleteBudget'
        | 'deleteLease'
        | 'collectGarbage';
    }
  | { do: 'changePolicy'; nth: number }
  // Actions of nodes and control.
  | { do: 'join' | 'leave'; nth: number; sessions: number }
  | { do: 'podFails'; nth: number }
  | { do: 'stumble'; nth: number; ms: number }
  | { do: 'controlStops' | 'controlStarts' }
  | { do: 'setRtt'; nth: number; ms: number }
  // Faults of the API and of the connection to it, for one operator process or (process 2) for both.
  | { do: 'fail'; process: number; how: FailHow; share: number; of: 'all' | 'reads' | 'writes' | 'pods' | 'status' | 'lease' }
  | { do: 'heal' | 'cut' | 'endWatches' | 'silence' | 'repeat' | 'goneEvent' | 'errorEvent' | 'onTime'; process: number }
  | { do: 'late'; process: number; of: 'all' | '/pods' | '/medianodes' | '/mediaedges' | '/relaymeshes' | '/leases' }
  | { do: 'compact' | 'backup' | 'restore' | 'bookmark' }
  | { do: 'restartApi'; ms: number }
  | { do: 'pageSize'; process: number; size: number }
  // Faults of the operator's processes.
  | { do: 'kill' | 'terminate' | 'stop' | 'continue'; process: number }
  | { do: 'killAtWrite'; process: number; write: number; done: boolean }
  | { do: 'wallJump'; process: number; ms: number }
  | { do: 'wait'; ms: number };

export interface Script {
  seed: number;
  /** The initial number of replicas of each edge. */
  replicas: number[];
  steps: Step[];
}

type StepGenerator = (random: RandomSource) => Step | Step[];

const process = (random: RandomSource): number => random.integer(0, 2);
/** A change that the leader must act on. */
const work = (random: RandomSource): Step => ({ do: 'scale', edge: random.integer(0, 2), replicas: random.integer(0, 3) });

/** The standby's watches lag when the leader is killed, so that it starts to lead with stale caches. */
function staleLeader(random: RandomSource): Step[] {
  const process = random.integer(0, 1);
  return [
    { do: 'wait', ms: random.pick([500, 8_000]) },
    { do: 'late', process, of: random.pick(['all', 'all', '/pods', '/medianodes', '/mediaedges']) },
    work(random),
    { do: 'wait', ms: random.pick([500, 5_000]) },
    { do: 'kill', process: 1 - process },
    { do: 'wait', ms: 30_000 },
  ];
}

/** The leader is stopped during its writes, and resumes when another process leads. */
function pausedLeader(random: RandomSource): Step[] {
  const process = random.integer(0, 1);
  return [
    { do: 'fail', process, how: 'slow', share: 1, of: random.pick(['writes', 'pods', 'all']) },
    work(random),
    work(random),
    { do: 'wait', ms: random.pick([1, 50, 500, 2_000]) },
    { do: 'stop', process },
    { do: 'wait', ms: 20_000 },
    { do: 'continue', process },
    { do: 'wait', ms: 2_000 },
    { do: 'heal', process },
  ];
}

const share = (random: RandomSource): number => random.pick([0.1, 0.3, 0.6, 1]);

const generators: [weight: number, generator: StepGenerator][] = [
  [8, (random) => ({ do: 'scale', edge: random.integer(0, 2), replicas: random.integer(0, 3) })],
  [
    4,
    (random) => ({
      do: random.pick(['changeTemplate', 'changeTemplate', 'pause', 'resume', 'cordon', 'uncordon']),
      edge: random.integer(0, 2),
    }),
  ],
  [2, (random) => ({ do: 'deleteEdge', edge: random.integer(0, 2) })],
  [2, (random) => ({ do: 'createEdge', edge: random.integer(0, 2) })],
  [1, (random) => ({ do: 'setDrainTimeout', edge: random.integer(0, 2), seconds: random.pick([5, 20, 60]) })],
  [3, (random) => ({ do: random.pick(['deletePod', 'deletePod', 'deleteMediaNode', 'editStatus']), nth: random.integer(0, 9) })],
  [
    3,
    (random) => ({
      do: random.pick([
        'deleteMesh',
        'createMesh',
        'deleteRoute',
        'createRoute',
        'deleteBudget',
        'deleteLease',
        'collectGarbage',
      ]),
    }),
  ],
  [1, (random) => ({ do: 'changePolicy', nth: random.integer(0, 9) })],
  [6, (random) => ({ do: random.pick(['join', 'join', 'leave']), nth: random.integer(0, 9), sessions: random.integer(1, 3) })],
  [3, (random) => ({ do: 'podFails', nth: random.integer(0, 9) })],
  [2, (random) => ({ do: 'stumble', nth: random.integer(0, 9), ms: random.pick([500, 8_000, 40_000]) })],
  [2, (random) => ({ do: random.pick(['controlStops', 'controlStarts']) })],
  [1, (random) => ({ do: 'setRtt', nth: random.integer(0, 9), ms: random.pick([1, 30, 100, 1_000]) })],
  [
    10,
    (random) => ({
      do: 'fail',
      process: process(random),
      how: random.pick<FailHow>([
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
      share: share(random),
      of: random.pick(['all', 'reads', 'writes', 'writes', 'pods', 'status', 'lease']),
    }),
  ],
  [5, (random) => ({ do: 'heal', process: process(random) })],
  [
    5,
    (random) => ({
      do: random.pick(['cut', 'endWatches', 'silence', 'repeat', 'goneEvent', 'errorEvent']),
      process: process(random),
    }),
  ],
  [
    5,
    (random) => ({
      do: 'late',
      process: process(random),
      of: random.pick(['all', '/pods', '/medianodes', '/mediaedges', '/relaymeshes', '/leases']),
    }),
  ],
  [3, (random) => ({ do: 'onTime', process: process(random) })],
  [2, (random) => ({ do: random.pick(['compact', 'backup', 'bookmark']) })],
  [1, () => ({ do: 'restore' })],
  [1, (random) => ({ do: 'restartApi', ms: random.pick([100, 3_000, 20_000]) })],
  [1, (random) => ({ do: 'pageSize', process: process(random), size: random.integer(1, 3) })],
  [5, (random) => ({ do: random.pick(['kill', 'kill', 'terminate', 'stop', 'continue']), process: random.integer(0, 1) })],
  [6, (random) => ({ do: 'killAtWrite', process: random.integer(0, 1), write: random.integer(1, 8), done: random.boolean(0.6) })],
  [1, (random) => ({ do: 'wallJump', process: process(random), ms: random.pick([-3_600_000, -5_000, 5_000, 3_600_000]) })],
  [2, staleLeader],
  [2, pausedLeader],
  [20, (random) => ({ do: 'wait', ms: random.pick([0, 1, 50, 500, 2_000, 2_000, 8_000, 20_000]) })],
];
const totalWeight = generators.reduce((sum, [weight]) => sum + weight, 0);

/** Generates a script from a seed. */
export function writeScript(seed: number, random: RandomSource): Script {
  const replicas = [random.integer(1, 3), random.integer(0, 2), random.integer(0, 1)];
  const steps = Array.from({ length: random.integer(4, 24) }).flatMap(() => {
    let at = random.next() * totalWeight;
    const [, generator] = generators.find(([weight]) => (at -= weight) < 0) ?? generators[0]!;
    return generator(random);
  });
  return { seed, replicas, steps };
}
