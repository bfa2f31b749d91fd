import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RandomSource } from './random.ts';
import { writeScript, type Step } from './script.ts';
import { World } from './world.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

function heapMib(): number {
  gc();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** A script without the faults that end a process, so that the processes run for long. */
function lifeOf(seed: number): Step[] {
  const deadly = new Set(['kill', 'killAtWrite', 'terminate', 'stop', 'restore', 'backup', 'wallJump']);
  return writeScript(seed, new RandomSource(seed)).steps.filter((step) => !deadly.has(step.do));
}

describe('a long-running operator in the fault simulation', () => {
  test('needs no more memory after 200 scripts than after 50, and keeps within its request budget', async (t) => {
    const world = new World({ seed: 3, replicas: [2, 1, 1] });
    const samples: number[] = [];
    let events = 0;
    world.api.store.subscribe(({ by }) => {
      if (by === '') events++;
    });
    for (let seed = 1; seed <= 200; seed++) {
      const steps = lifeOf(seed);
      await world.run(steps);
      events += steps.length;
      await world.endFaults();
      await world.run([
        { do: 'createMesh' },
        { do: 'createRoute' },
        { do: 'createEdge', edge: seed % 3 },
        { do: 'wait', ms: 30_000 },
      ]);
      world.forgetEvents();
      world.api.compact();
      if (seed % 50 === 0) samples.push(heapMib());
    }
    const { requests } = world;
    t.diagnostic(
      JSON.stringify({
        heapMib: samples.map((mib) => Math.round(mib * 10) / 10),
        requests,
        events,
        hours: world.clock.now() / 3.6e6,
      }),
    );
    assert.deepEqual(
      world.processes.map(({ ended }) => ended),
      [undefined, undefined],
      'neither process ended',
    );
    assert.ok(
      samples.at(-1)! - samples[0]! < 4,
      `heap after each 50 scripts: ${samples.map((mib) => mib.toFixed(1)).join(', ')} MiB`,
    );
    // Measured: 1.6 requests per event, besides those for Leases. A loop, or a retry without back-off, makes hundreds.
    const bound = 4 * events + (2 * 2 * world.clock.now()) / 2_000;
    assert.ok(requests < bound, `${requests} requests for ${events} events in ${world.clock.now() / 1_000} s; ${bound} at most`);
    assert.deepEqual(await world.end(), []);
  });
});
