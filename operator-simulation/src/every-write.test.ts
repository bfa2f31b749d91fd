import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { play } from './run.ts';
import type { Script, Step } from './script.ts';

// The three fault classes that Sieve (Sun et al., OSDI 2022) injects into controllers, each at every write.

const wait = (ms: number): Step => ({ do: 'wait', ms });
/** What users do in each case, once the fleet is up. */
const workloads: Record<string, Step[]> = {
  start: [],
  'scale up': [wait(15_000), { do: 'scale', edge: 0, replicas: 3 }],
  'scale down with viewers': [
    wait(15_000),
    { do: 'join', nth: 0, sessions: 2 },
    wait(2_000),
    { do: 'scale', edge: 0, replicas: 0 },
  ],
  'roll out': [wait(15_000), { do: 'join', nth: 1, sessions: 1 }, { do: 'changeTemplate', edge: 0 }],
  'delete an edge': [wait(15_000), { do: 'deleteEdge', edge: 1 }],
  'delete and recreate the mesh': [wait(15_000), { do: 'deleteMesh' }, wait(3_000), { do: 'createMesh' }],
};
const REPLICAS = [2, 1, 0];
/** More writes than any workload needs; if a workload makes fewer, the operator is not killed. */
const WRITES = 16;

async function survives(name: string, steps: Step[]): Promise<void> {
  const script: Script = { seed: 7, replicas: REPLICAS, steps: [...steps, wait(30_000)] };
  const { violations } = await play(script);
  assert.deepEqual(violations, [], `${name}; SIMULATION_SCRIPT='${JSON.stringify(script)}'`);
}

describe('intermediate state: the operator dies between two writes', () => {
  for (const [name, steps] of Object.entries(workloads)) {
    test(`${name}: a restart or another leader completes it after a kill at each write, executed or not`, async () => {
      for (let write = 1; write <= WRITES; write++) {
        for (const done of [false, true]) {
          // Both replicas, so that the leader dies, and its successor dies at its second write.
          const doomed: Step[] = [
            { do: 'killAtWrite', process: 0, write, done },
            { do: 'killAtWrite', process: 1, write: 2, done: !done },
          ];
          await survives(`dies at write ${write}, ${done ? 'done' : 'not done'}`, [
            ...steps.slice(0, -1),
            ...doomed,
            ...steps.slice(-1),
          ]);
        }
      }
    });
  }
});

describe('stale state: a new leader whose watches lag behind', () => {
  for (const [name, steps] of Object.entries(workloads)) {
    test(`${name}: it does not act on stale state`, async () => {
      for (const kind of ['all', '/pods', '/medianodes', '/mediaedges'] as const) {
        for (const ms of [500, 5_000]) {
          await survives(`late ${kind}, killed after ${ms} ms`, [
            ...steps.slice(0, -1),
            { do: 'late', process: 1, of: kind },
            ...steps.slice(-1),
            wait(ms),
            { do: 'kill', process: 0 },
            wait(40_000),
          ]);
        }
      }
    });
  }
});

describe('unobserved state: changes while the watches are interrupted', () => {
  for (const [name, steps] of Object.entries(workloads)) {
    test(`${name}: it repairs changes that no watch reported`, async () => {
      for (const unseen of [
        [
          { do: 'podFails', nth: 0 },
          { do: 'deletePod', nth: 1 },
        ],
        [{ do: 'deleteMediaNode', nth: 0 }, { do: 'deleteBudget' }],
        [{ do: 'deleteEdge', edge: 0 }, wait(50), { do: 'createEdge', edge: 0 }],
      ] as Step[][]) {
        await survives(`unseen ${JSON.stringify(unseen)}`, [
          ...steps,
          wait(700),
          { do: 'late', process: 2, of: 'all' },
          ...unseen,
          { do: 'compact' },
          { do: 'cut', process: 2 },
        ]);
      }
    });
  }
});
