import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { startOperator, type OperatorHandle } from '@millrace/operator';
import { createKubeClient, findCondition, loadKubeconfig, type KubeClient, type KubeObject, type Resource } from '@millrace/kube';
import * as crds from '@millrace/api/crds';
import { createLogger } from '@millrace/service';
import { offerText } from '@millrace/testkit/sdp';
import { launchBrowser, type Browser } from '@millrace/testbed/browser';
import { kubeApis, type KubeApi } from './src/kube-apis.ts';
import { APP_KEY, eventually, Servers } from './src/servers/network.ts';

const EXAMPLES = new URL('../examples/', import.meta.url).pathname;
const KINDS: Record<string, Resource> = Object.fromEntries(
  [crds.mediaEdges, crds.relayMeshes, crds.streamRoutes].map((kind) => [kind.kind, kind as Resource]),
);

interface Conditioned extends KubeObject {
  status?: { conditions?: crds.Condition[]; observedGeneration?: number };
}

/** Each folder with the folders that it builds on. */
const SETS: [folder: string, first: string][] = [
  ['', 'two-regions.yaml'],
  ['laptop', 'network.yaml'],
];

for (const { name, start } of kubeApis)
  describe(`the example manifests on ${name}`, { timeout: 240_000 }, () => manifestsOn(start));

function manifestsOn(start: () => Promise<KubeApi>): void {
  let api: KubeApi;
  let client: KubeClient;
  let operator: OperatorHandle;
  before(async () => {
    api = await start();
    const kubeconfig = loadKubeconfig({ file: api.kubeconfigPath });
    client = createKubeClient({ kubeconfig, qps: 1000, burst: 1000 });
    const logger = createLogger({ service: 'operator', level: 'error' });
    operator = await startOperator({
      kubeconfig,
      controlUrl: 'ws://control:8080/v1/agent',
      mediaNodeImage: 'media-node:test',
      logger,
    });
  });
  after(async () => {
    await operator?.stop();
    client?.close();
    await api?.stop();
  });

  for (const [folder, first] of SETS)
    test(`those in examples/${folder} are accepted unchanged, and become Accepted with all objects that they refer to`, async () => {
      const files = (await readdir(join(EXAMPLES, folder))).filter((file) => file.endsWith('.yaml') && file !== first);
      for (const file of [first, ...files.sort()]) {
        const path = join(EXAMPLES, folder, file);
        const text = await readFile(path, 'utf8');
        assert.match(text, /^# /, `${file} says what it shows`);
        const said = await api.kubectl('apply', '--validate=strict', '-f', path);
        assert.doesNotMatch(said, /Warning/);
        for (const document of parseAllDocuments(text)) {
          const { kind = '', metadata } = document.toJS() as KubeObject;
          const ref = { namespace: 'default', name: metadata?.name ?? '' };
          await eventually(`${file}: ${kind} ${ref.name} is accepted`, async () => judged(await client.get(KINDS[kind]!, ref)));
        }
      }
      for (const file of [...files, first]) {
        await api.kubectl('delete', '--ignore-not-found', '--timeout=60s', '-f', join(EXAMPLES, folder, file));
      }
      for (const kind of Object.values(KINDS)) assert.deepEqual((await client.listAll(kind, { namespace: 'default' })).items, []);
    });
}

/** True once the conditions of the current generation are good; throws when they are bad. */
function judged(object: Conditioned): true | undefined {
  const generation = object.metadata?.generation;
  for (const type of ['Accepted', 'ResolvedRefs']) {
    const condition = findCondition(object.status?.conditions, type);
    if (condition?.observedGeneration !== generation || condition?.status !== 'True') return undefined;
  }
  return true;
}

describe('the examples of what an app does', { timeout: 180_000 }, () => {
  let servers: Servers;
  let browser: Browser;
  let app: ChildProcess | undefined;
  before(async () => {
    servers = await Servers.start();
    await servers.addNode('one', { roles: ['push', 'pull', 'relay'] });
    await servers.addNode('two', { roles: ['pull', 'relay'] });
  });
  after(async () => {
    app?.kill();
    await browser?.close();
    await servers?.stop();
  });

  test('publish-and-play.sh publishes, sees and plays a stream', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-examples-'));
    await writeFile(join(folder, 'offer.sdp'), offerText('obs-whip'));
    const env = { ...process.env, CONTROL: servers.control.url, APP_KEY };
    const { stdout } = await promisify(execFile)(join(EXAMPLES, 'publish-and-play.sh'), [join(folder, 'offer.sdp')], { env });
    assert.match(stdout, /^published live\/by-hand at one$/m);
    assert.match(stdout, /"stream": "live\/by-hand"/);
    assert.match(stdout, /^the node offers a viewer: [12] tracks$/m);
    assert.match(stdout, /^ended$/m);
    await rm(folder, { recursive: true });
  });

  test('the page publishes a camera and plays it, with places from its own backend', async () => {
    const env = { ...process.env, CONTROL: servers.control.url, APP_KEY, PORT: '0' };
    app = spawn(process.execPath, [join(EXAMPLES, 'page/server.ts')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const url = await new Promise<string>((resolve) =>
      app!.stdout!.once('data', (data: Buffer) => resolve(data.toString().trim())),
    );
    browser = await launchBrowser();
    const page = await browser.newPage();
    await page.goto(url);
    await page.click('#publish');
    await page.waitForFunction(() => /publishing: live/.test(document.getElementById('state')?.textContent ?? ''), {
      timeout: 30_000,
    });
    await page.click('#play');
    await page.waitForFunction(
      () => {
        const video = document.querySelector('video');
        return (video?.videoWidth ?? 0) > 0 && (video?.currentTime ?? 0) > 1;
      },
      { timeout: 30_000 },
    );
    const refused = await fetch(`${url}/place/pull?stream=private/x`);
    assert.equal(refused.status, 403);
  });
});
