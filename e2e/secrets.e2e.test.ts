import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { PlacementResponse } from '@millrace/api';
import { mediaEdges, mediaNodes } from '@millrace/api';
import {
  createKubeClient,
  isConflict,
  loadKubeconfig,
  secrets as secretObjects,
  type KubeClient,
  type Secret,
} from '@millrace/kube';
import { newPlayer, newPublisher } from '@millrace/testkit/webrtc';
import { loadOrCreateCertificates } from '@millrace/standalone/certificates';
import { laptopManifest } from '@millrace/testbed/laptop-manifest';
import { delay, eventually, startNetwork, type TestNetwork } from '@millrace/testbed/network';
import { pidOfNode } from '@millrace/testbed/node-process';
import { processTree, type ShownProcess } from './src/process-tree.ts';
import { bodyOfPem, SecretTraces, signatureOf, type Trace } from './src/secret-traces.ts';
import { readWholeApi } from './src/whole-api.ts';

const NAMESPACE = 'default';
const TLS_EDGE = 'frankfurt-tls';
const PUBLISHED_IN = 'tokyo';
const WATCHED_IN = 'virginia';

/** The network as `make up` starts it, with the most verbose logs, while every secret is used, with both valid and invalid requests. */
describe('no secret shows', { timeout: 280_000 }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
  const known = new SecretTraces();
  const names = new Set<string>();
  /** Response bodies of all refused requests. */
  const refusals: string[] = [];
  const processes = new Map<number, ShownProcess>();
  let network: TestNetwork;
  let client: KubeClient;

  const learn = (name: string, value: Buffer | string): void => {
    known.add({ name, value });
    names.add(name);
  };
  const find = (texts: Iterable<readonly [place: string, text: string]>): Trace[] =>
    [...texts].flatMap(([place, text]) => known.find(place, text));
  const lookAtProcesses = (): void => {
    for (const each of processTree(network.pid)) processes.set(each.pid, each);
  };
  const place = async (kind: 'push' | 'pull', stream: string): Promise<PlacementResponse> => {
    const placed = await eventually(`a place to ${kind} ${stream}`, 15_000, () =>
      network.place(kind, stream, kind === 'push' ? PUBLISHED_IN : WATCHED_IN),
    );
    learn(`the ${kind} token of ${stream}`, signatureOf(placed.token));
    return placed;
  };
  const send = async (url: URL | string, init: RequestInit): Promise<{ status: number; text: string; location: string }> => {
    const response = await fetch(url, { method: 'POST', redirect: 'manual', ...init, signal: AbortSignal.timeout(10_000) });
    const text = await response.text();
    const location = response.headers.get('location') ?? '';
    if (response.status >= 400) refusals.push(`${response.status} ${text}`);
    return { status: response.status, text, location };
  };
  const json = (body: unknown, token?: string): RequestInit => ({
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

  before(async () => {
    const manifest = join(scratch, 'network.yaml');
    writeFileSync(manifest, laptopManifest({ environment: { MILLRACE_LOG_LEVEL: 'trace' } }));
    network = await startNetwork({ source: '', env: { MILLRACE_MANIFEST: manifest, MILLRACE_LOG_LEVEL: 'debug' } });
    client = createKubeClient({ kubeconfig: loadKubeconfig({ file: network.kubeconfig }) });
    lookAtProcesses();
    await serveByTls();
    await useWebRtc();
    await usePlainRtp();
    await useShortForms();
    await useAppKeys();
    await beRefused();
    await breakSecrets();
    await restartNode();
    learnStored();
    lookAtProcesses();
  });
  after(async () => {
    client?.close();
    await network?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  async function serveByTls(): Promise<void> {
    const { key, cert } = await loadOrCreateCertificates(scratch, ['127.0.0.1'], Date.now());
    const data = {
      'tls.key': Buffer.from(key).toString('base64'),
      'tls.crt': Buffer.from(cert).toString('base64'),
    };
    await client.create(secretObjects, { metadata: { namespace: NAMESPACE, name: 'edge-tls' }, type: 'kubernetes.io/tls', data });
    const edge = await client.get(mediaEdges, { namespace: NAMESPACE, name: 'frankfurt-pull' });
    const networkOf = { ...edge.spec.network, tlsSecretRef: { name: 'edge-tls' } };
    await client.create(mediaEdges, {
      metadata: { namespace: NAMESPACE, name: TLS_EDGE },
      spec: { ...edge.spec, network: networkOf },
    });
    await eventually('a node serves by HTTPS', 60_000, async () => {
      const { items } = await client.list(mediaNodes, { namespace: NAMESPACE });
      return items.some(({ spec, status }) => spec.edge === TLS_EDGE && status?.endpoints?.signalingUrl?.startsWith('https:'));
    });
  }

  async function useWebRtc(): Promise<void> {
    const exchange = async ({ url, token }: PlacementResponse, offer: string, inQuery: boolean) => {
      const target = new URL(url);
      if (inQuery) target.searchParams.set('access_token', token);
      const authorization: Record<string, string> = inQuery ? {} : { authorization: `Bearer ${token}` };
      const answered = await send(target, { headers: { 'content-type': 'application/sdp', ...authorization }, body: offer });
      assert.equal(answered.status, 201, answered.text);
      for (const [who, sdp] of Object.entries({ client: offer, node: answered.text }))
        learn(`the ${who}'s ICE password`, /^a=ice-pwd:(\S+)/m.exec(sdp)![1]!);
      const session = new URL(answered.location, url);
      // Anybody who has its URL can end a session or move it.
      learn('the session of WHIP and WHEP', session.pathname.split('/').at(-1)!);
      return { answer: answered.text, session: session.href };
    };
    const publisher = await newPublisher();
    const pushed = await exchange(await place('push', 'live/secret'), publisher.offer, false);
    await publisher.accept(pushed.answer);
    const player = await newPlayer();
    const pulled = await exchange(await place('pull', 'live/secret'), player.offer, true);
    await player.accept(pulled.answer);
    await eventually('video arrives', 30_000, () => (player.received.video > 10 ? true : undefined));
    lookAtProcesses();
    const bad = { method: 'PATCH', headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '"none"' } };
    await send(pulled.session, { ...bad, body: player.offer.match(/^a=ice-(ufrag|pwd):.*$/gm)!.join('\r\n') });
    await fetch(pulled.session, { method: 'DELETE' });
    await player.close();
    await publisher.close();
  }

  async function usePlainRtp(): Promise<void> {
    const keyBase64 = () => randomBytes(44).toString('base64');
    const srtp = { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: keyBase64() };
    learn("a viewer's SRTP key", Buffer.from(srtp.keyBase64, 'base64'));
    const { signaling, token } = await place('pull', 'live/demo');
    const body = { stream: 'live/demo', srtp, address: { ip: '127.0.0.1', port: 9 } };
    const opened = await send(new URL('/rtp/pull', signaling), json(body, token));
    assert.equal(opened.status, 201, opened.text);
    const answer = JSON.parse(opened.text) as { session: string; srtp: typeof srtp };
    learn("the node's SRTP key", Buffer.from(answer.srtp.keyBase64, 'base64'));
    learn('the session of plain RTP', answer.session);
    await send(new URL(`/rtp/sessions/${answer.session}`, signaling), { method: 'PUT' });
    await send(new URL('/rtp/pull', signaling), json({ ...body, srtp: { ...srtp, cryptoSuite: 'NONE' } }, token));
    await send(new URL('/rtp/pull', signaling), json({ ...body, srtp: { ...srtp, keyBase64: srtp.keyBase64.slice(8) } }, token));
    await send(new URL('/rtp/pull', signaling), json(`{"srtp":{"keyBase64":${srtp.keyBase64}}}`, token));
    await send(new URL('/rtp/pull', signaling), json({ ...body, srtp: srtp.keyBase64 }, token));
  }

  async function useShortForms(): Promise<void> {
    const publisher = await newPublisher();
    const push = await place('push', 'live/short');
    const pushed = await send(
      new URL('/signaling/push', push.signaling),
      json({ stream: 'live/short', token: push.token, sdp: publisher.offer }),
    );
    assert.equal(pushed.status, 200, pushed.text);
    await publisher.accept((JSON.parse(pushed.text) as { sdp: string }).sdp);
    const pull = await place('pull', 'live/short');
    const offered = await send(new URL('/signaling/pull', pull.signaling), json({ stream: 'live/short', token: pull.token }));
    assert.equal(offered.status, 200, offered.text);
    const { session, sdp } = JSON.parse(offered.text) as { session: string; sdp: string };
    learn('the session of the short form', session.split('~')[1]!);
    await send(new URL('/signaling/stop', pull.signaling), json({ session: `${session}x` }));
    learn("the ICE password of the node's offer", /^a=ice-pwd:(\S+)/m.exec(sdp)![1]!);
    const player = await newPlayer(sdp);
    await send(new URL('/signaling/sendanswer', pull.signaling), json({ session, sdp: player.answer.slice(0, 400) }));
    await send(new URL('/signaling/sendanswer', pull.signaling), json({ session, sdp: player.answer }));
    await player.close();
    await publisher.close();
  }

  async function useAppKeys(): Promise<void> {
    const controlUrl = controlUrlOf(processes.values());
    const guess = randomBytes(24).toString('base64url');
    learn('a guessed app key', guess);
    assert.equal((await send(new URL('/v1/push', controlUrl), json({ stream: 'live/x' }, guess))).status, 401);
    for (const body of [`{"token":"${guess}"`, JSON.stringify({ stream: guess, key: guess }), `{"stream":${guess}}`])
      await send(new URL('/v1/push', controlUrl), json(body, guess));
    await send(new URL(`/v1/push?access_token=${guess}`, controlUrl), json({ stream: 'live/x' }));
    await send(new URL('/v1/topology', controlUrl), { method: 'GET', headers: { authorization: `Basic ${guess}` } });
  }

  /** Tokens with one fault each: in the action, the stream, the signature. */
  async function beRefused(): Promise<void> {
    const push = await place('push', 'live/refused');
    const pull = await place('pull', 'live/demo');
    const forged = `${push.token.slice(0, -20)}${randomBytes(15).toString('base64url')}`;
    for (const token of [push.token, forged, `x${forged}`, `${forged} ${forged}`]) {
      for (const target of [pull.url, `${pull.url}?access_token=${encodeURIComponent(token)}`])
        await send(target, { headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` }, body: token });
      for (const path of ['/signaling/pull', '/rtp/pull', '/rtp/push', `/none?access_token=${token}`])
        await send(new URL(path, pull.signaling), json({ stream: 'live/demo', token }));
    }
    assert.ok(refusals.length > 20, `${refusals.length} were refused`);
  }

  /** Writes half a key into each Secret, as by mistake. Each part must log the fault and keep its previous keys. */
  async function breakSecrets(): Promise<void> {
    const { items } = await client.list(secretObjects, { namespace: NAMESPACE });
    learnSecrets(items);
    for (const { metadata, data = {} } of items) {
      const ref = { namespace: NAMESPACE, name: metadata?.name ?? '' };
      const change = async (values: Record<string, string>): Promise<void> => {
        const now = await client.get(secretObjects, ref);
        await client.update(secretObjects, { ...now, data: values }).catch((error: unknown) => {
          if (!isConflict(error)) throw error;
        });
      };
      await change(Object.fromEntries(Object.entries(data).map(([field, value]) => [field, halfOf(value)])));
      await delay(1_500);
      await change(data);
    }
  }

  function learnSecrets(items: readonly Secret[]): void {
    for (const { metadata, data = {} } of items)
      for (const [field, encoded] of Object.entries(data)) {
        const value = Buffer.from(encoded, 'base64');
        const name = `Secret ${metadata?.name}, ${field}`;
        if (field === 'tls.crt') continue;
        if (field === 'tls.key') learn(name, bodyOfPem(value.toString()));
        else if (field === 'keys.json')
          for (const key of (JSON.parse(value.toString()) as { keys: { kid: string; d: string }[] }).keys)
            learn(`${name}, ${key.kid}`, Buffer.from(key.d, 'base64url'));
        else learn(name, value);
      }
  }

  async function restartNode(): Promise<void> {
    const { nodes } = await network.topology();
    const relay = nodes.find(({ roles, region }) => roles.includes('relay') && region === WATCHED_IN)!.node;
    process.kill(pidOfNode(relay), 'SIGKILL');
    await eventually('the relay is back', 30_000, () => {
      lookAtProcesses();
      return processes.size > 0 && pidOfNode(relay) ? true : undefined;
    });
    await delay(3_000);
  }

  /** The secrets in the network's folder: tokens of its parts and of its pods, and the API's own key. */
  function learnStored(): void {
    const read = (...path: string[]) => readFileSync(join(network.stateDir, ...path), 'utf8');
    for (const [user, token] of Object.entries(JSON.parse(read('credentials.json')) as Record<string, string>))
      learn(`the API token of ${user}`, token);
    learn("the API's TLS key", bodyOfPem((JSON.parse(read('api', 'tls.json')) as { key: string }).key));
    const tokens = filesBelow(network.stateDir).filter((file) => file.endsWith('/token/token'));
    assert.ok(tokens.length >= 9, `${tokens.length} pods have tokens`);
    for (const file of tokens) learn(`the token ${file}`, signatureOf(readFileSync(file, 'utf8').trim()));
  }

  test('every kind of secret was in use', () => {
    for (const each of [
      'push token',
      'pull token',
      'ICE password',
      'SRTP key',
      'session',
      'trunk',
      'app-key',
      'tls.key',
      'API token',
    ])
      assert.ok(
        [...names].some((name) => name.includes(each)),
        `${each}: ${[...names].join(', ')}`,
      );
    const commands = [...processes.values()].map(({ commandLine }) => commandLine);
    for (const each of ['millrace-media-node', 'mediasoup-worker', 'ffmpeg', 'standalone/src/main.ts'])
      assert.ok(
        commands.some((command) => command.includes(each)),
        `${each}: ${commands.join('\n')}`,
      );
  });

  test('in logs at their most verbose level', () => {
    const logs = filesBelow(network.stateDir).filter((file) => /\.log(\.\d)?$/.test(file));
    const texts = logs.map((file) => [file, readFileSync(file, 'utf8')] as const);
    assert.ok(texts.some(([, text]) => text.includes('"level":"debug"')));
    assert.deepEqual(find([...texts, ['standard output and error', network.output()]]), []);
  });

  test('in command lines and environments', () => {
    const shown = [...processes.values()].flatMap(({ pid, commandLine, environment }) => [
      [`command line of ${pid}`, commandLine] as const,
      [`environment of ${pid} (${commandLine})`, environment] as const,
    ]);
    assert.deepEqual(find(shown), []);
  });

  test('in core dumps: no process raises its limit on core files', () => {
    const own = processTree(process.pid).find(({ pid }) => pid === process.pid)!.coreLimit;
    assert.deepEqual([...new Set([...processes.values()].map(({ coreLimit }) => coreLimit))], [own]);
  });

  test('in files that others may read', () => {
    assert.deepEqual(readableByOthers(network.stateDir), []);
  });

  test('in metrics and health', async () => {
    const texts = await eventually('every node answers, the restarted one too', 40_000, async () => {
      const { items } = await client.list(mediaNodes, { namespace: NAMESPACE });
      const bases = [controlUrlOf(processes.values()), ...items.flatMap(({ status }) => status?.endpoints?.opsUrl ?? [])];
      assert.ok(bases.length > 9);
      const urls = bases.flatMap((base) => ['/metrics', '/healthz', '/readyz'].map((path) => new URL(path, base)));
      return Promise.all(urls.map(async (url) => [url.href, await (await fetch(url)).text()] as const));
    });
    assert.deepEqual(find(texts), []);
  });

  test('in responses to refused requests', () => {
    assert.deepEqual(find(refusals.map((refusal) => ['a refusal', refusal] as const)), []);
  });

  test('on the console and its events', async () => {
    const texts: [string, string][] = [];
    for (const path of ['/', '/app.js', '/style.css', '/api/settings', '/api/topology', '/none', '/api/place/none'])
      texts.push([path, await (await fetch(new URL(path, network.consoleUrl))).text()]);
    const events = await fetch(new URL('/api/topology/events', network.consoleUrl), { signal: AbortSignal.timeout(3_000) });
    let text = '';
    try {
      for await (const chunk of events.body!.pipeThrough(new TextDecoderStream())) text += chunk;
    } catch {
      // Read for as long as that.
    }
    assert.match(text, /event: topology/);
    assert.deepEqual(find([...texts, ['/api/topology/events', text]]), []);
  });

  test('in objects of the API other than Secrets', async () => {
    const objects = await readWholeApi(network.kubeconfig, (kind) => kind === 'Secret');
    for (const kind of ['pods', 'events', 'medianodes', 'mediaedges', 'relaymeshes', 'streamroutes'])
      assert.ok(
        [...objects.keys()].some((path) => path.endsWith(`/${kind}`)),
        kind,
      );
    assert.deepEqual(find(objects), []);
  });

  test('a secret that the test plants is found', async () => {
    const [secret] = (await client.list(secretObjects, { namespace: NAMESPACE })).items.filter(({ data }) => data?.['console']);
    const value = Buffer.from(secret!.data!['console']!, 'base64').toString();
    const log = join(network.stateDir, 'logs', 'planted.log');
    appendFileSync(log, `{"msg":"asked with ${encodeURIComponent(value)}"}\n`, { mode: 0o644 });
    assert.equal(find([[log, readFileSync(log, 'utf8')]]).length > 0, true);
    assert.deepEqual(readableByOthers(network.stateDir), [`${log} may be read by others (644)`]);
    const edge = await client.get(mediaEdges, { namespace: NAMESPACE, name: TLS_EDGE });
    const annotations = { note: Buffer.from(`key=${value}`).toString('base64') };
    await client.update(mediaEdges, { ...edge, metadata: { ...edge.metadata, annotations } });
    const objects = await readWholeApi(network.kubeconfig, (kind) => kind !== 'MediaEdge');
    assert.equal(find(objects)[0]?.form, 'base64');
  });
});

/** URL of control, from the environment of the nodes. */
function controlUrlOf(processes: Iterable<ShownProcess>): string {
  for (const { environment } of processes) {
    const url = /(?:^|\0)MILLRACE_CONTROL_URL=ws([^\0]+)/.exec(environment)?.[1];
    if (url) return `http${url}`;
  }
  throw new Error('no node knows where control is');
}

/** Of something in base64. */
function halfOf(encoded: string): string {
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.subarray(0, bytes.length / 2).toString('base64');
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Files and folders that others than their owner may access. */
function readableByOthers(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true }).filter(
    (entry) => entry.isFile() || entry.isDirectory(),
  );
  return [folder, ...entries.map((entry) => join(entry.parentPath, entry.name))].flatMap((path) => {
    const mode = statSync(path).mode & 0o777;
    return mode & 0o077 ? [`${path} may be read by others (${mode.toString(8)})`] : [];
  });
}
