import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Answer } from '@millrace/kube-conformance';
import { ApiUnderTest } from '../apiserver/testing/api-under-test.ts';
import { SmallDisk } from '../testing/small-disk.ts';
import { startTicksOf } from './process-group.ts';

const script = fileURLToPath(new URL('./testing/agent-process.ts', import.meta.url));
const pods = '/api/v1/namespaces/default/pods';
const children = new Set<ChildProcess>();
let api: ApiUnderTest;
let kubeconfig: string;
before(async () => {
  api = await ApiUnderTest.start();
  kubeconfig = join(api.dataDir, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig());
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await api.stop();
});

async function startAgent(dataDir: string, inside = (argv: string[]) => argv): Promise<ChildProcess> {
  const [program = '', ...args] = inside([process.execPath, script, kubeconfig, dataDir]);
  const agent = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(agent);
  await once(createInterface({ input: agent.stdout }), 'line');
  return agent;
}
async function kill(...processes: (ChildProcess | number)[]): Promise<void> {
  const pids = processes.map((each) => (typeof each === 'number' ? each : (each.pid ?? 0)));
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await eventually('the killed are gone', () => pids.every((pid) => startTicksOf(pid) === undefined));
}
async function eventually(what: string, look: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !(await look());) {
    assert.ok(Date.now() < deadline, `${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Running {
  pid: number;
  parent: number;
  line: string;
}
const processes = (): Running[] =>
  readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const line = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return state === 'Z' ? [] : [{ pid: Number(entry), parent: Number(parent), line }];
    } catch {
      return [];
    }
  });
const running = (line: string) => processes().filter((each) => each.line === line);
const guardOf = (agent: ChildProcess) =>
  processes().find(({ parent, line }) => parent === agent.pid && line.includes('guard.ts'))?.pid ?? assert.fail('no guard');

/** A pod that sleeps for a number of seconds unique to it, beside its script. */
async function createSleeper(name: string, before = ''): Promise<string> {
  const sleep = `sleep 36${randomInt(1e6, 1e7)}`;
  const command = ['sh', '-c', `${before}exec ${sleep}`];
  const containers = [{ name: 'c', image: 'test', command }];
  const made = await api.post(pods, { metadata: { name }, spec: { containers, terminationGracePeriodSeconds: 1 } });
  assert.equal(made.code, 201, JSON.stringify(made.body));
  await eventually(`${name} runs`, () => running(sleep).length === 1);
  return sleep;
}
const statusOf = ({ body }: Answer) => body.status?.containerStatuses?.[0];
const isRunningAgain = async (name: string, pid: number) => {
  const { containerID = '', restartCount } = statusOf(await api.get(`${pods}/${name}`)) ?? {};
  return restartCount === 1 && /^process:\/\/(\d+)-/.test(containerID) && !containerID.startsWith(`process://${pid}-`);
};

describe('an agent that is killed', { timeout: 120_000 }, () => {
  test('ends its processes, and its next run starts each pod once', async () => {
    const dataDir = join(api.dataDir, 'one');
    let agent = await startAgent(dataDir);
    const sleep = await createSleeper('guarded');
    const [{ pid } = assert.fail()] = running(sleep);
    await kill(agent);
    await eventually('its guard ends what it ran', () => running(sleep).length === 0);
    agent = await startAgent(dataDir);
    await eventually('the pod runs again', () => isRunningAgain('guarded', pid));
    assert.equal(running(sleep).length, 1);
    await api.del(`${pods}/guarded`);
    await eventually('a deleted pod ends', () => running(sleep).length === 0);
    await kill(agent);
  });

  test('together with its guard leaves processes, which the next run ends before it starts the pods; it ends no other process', async () => {
    const dataDir = join(api.dataDir, 'two');
    let agent = await startAgent(dataDir);
    const sleep = await createSleeper('orphaned');
    const [{ pid } = assert.fail()] = running(sleep);
    // The group's leader dies while neither agent nor guard runs: its children stay.
    const left = `sleep 37${randomInt(1e6, 1e7)}`;
    const leader = await createSleeper('leader', `${left} & `);
    await eventually('both run', () => running(left).length === 1);
    const foreign = spawn('sleep', ['3600'], { detached: true, stdio: 'ignore' });
    children.add(foreign);

    await kill(agent, guardOf(agent));
    await kill(...running(leader).map((each) => each.pid));
    assert.deepEqual([running(sleep).length, running(left).length], [1, 1]);
    const ledger = JSON.parse(readFileSync(join(dataDir, 'processes.json'), 'utf8')) as { processes: object[] };
    ledger.processes.push({ pid: foreign.pid, startTicks: '1' }); // a number that the kernel has reused
    writeFileSync(join(dataDir, 'processes.json'), JSON.stringify(ledger));

    agent = await startAgent(dataDir);
    await eventually('the pod runs again', () => isRunningAgain('orphaned', pid));
    await eventually(
      'the children of the dead leader are ended',
      () => !running(left).some((each) => each.parent === 1) && running(left).length === 1,
    );
    assert.equal(running(sleep).length, 1);
    assert.ok(startTicksOf(foreign.pid ?? 0), 'a foreign process was killed');
    for (const name of ['orphaned', 'leader']) await api.del(`${pods}/${name}`);
    await eventually('deleted pods end', () => running(sleep).length + running(left).length + running(leader).length === 0);
    await kill(agent);
  });

  test('survives a full disk: running pods continue, and new ones start when there is room', async (context) => {
    const disk = await SmallDisk.create(2 * 1024 * 1024);
    if (!disk) return context.skip('this user may make no mount namespace');
    context.after(() => disk.remove());
    const agent = await startAgent(disk.path, (argv) => disk.inside(argv));
    context.after(() => kill(agent));
    const sleep = await createSleeper('talking', 'while sleep 0.1; do echo line; done & ');
    const free = disk.fill();
    await api.post('/api/v1/namespaces/default/configmaps', { metadata: { name: 'conf' }, data: { a: 'x'.repeat(10_000) } });
    const volumes = [{ name: 'v', configMap: { name: 'conf' } }];
    const containers = [{ name: 'c', image: 'test', command: ['sleep', '3600'] }];
    await api.post(pods, { metadata: { name: 'late' }, spec: { containers, volumes, terminationGracePeriodSeconds: 1 } });
    await eventually('the pod tells why it waits', async () =>
      /no space left on device/.test(statusOf(await api.get(`${pods}/late`))?.state.waiting?.message ?? ''),
    );
    assert.equal(running(sleep).length, 1);
    assert.equal(agent.exitCode, null);
    free();
    await eventually('it runs', async () => statusOf(await api.get(`${pods}/late`))?.state.running !== undefined);
    for (const name of ['talking', 'late']) await api.del(`${pods}/${name}`);
    await eventually('deleted pods end', async () => (await api.get(pods)).body.items.length === 0);
  });
});
