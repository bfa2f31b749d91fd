import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { format, resolveConfig } from 'prettier';
import { mediaEdges, type MediaEdge, type PlacementResponse } from '@millrace/api';
import { controlService, mediaNodeService } from '@millrace/api/operations';
import { newPlayer, newPublisher } from '@millrace/testkit/webrtc';
import { HttpContract } from './src/servers/http-contract.ts';
import { LABELS, metricsOf, metricsPage, unitOf, UNITS, type Metric } from './src/servers/metrics-reference.ts';
import { APP_KEY, eventually, NAMESPACE, Servers, type RunningNode } from './src/servers/network.ts';

const PAGE = new URL('../docs/reference/metrics.md', import.meta.url).pathname;
/** Plural nouns that are their own unit. */
const COUNTED = /_(agents|streams|sessions|publishers|workers|trunks|subscribers|packets|objects|items|nodes)$/;

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

describe('the reference of the metrics and the running servers', { timeout: 120_000 }, () => {
  let servers: Servers;
  let one: RunningNode;
  let two: RunningNode;
  let metrics: Metric[];
  const samples: Record<string, Sample[]> = {};
  const types = new Map<string, string>();
  const closers: (() => Promise<unknown>)[] = [];

  /** Publishes and plays a stream across two nodes, with an edge and refused requests, so that every metric with a label has a sample. */
  before(async () => {
    servers = await Servers.start();
    one = await servers.addNode('one', { roles: ['push', 'relay'] });
    two = await servers.addNode('two', { roles: ['pull', 'relay'] });
    const edge = {
      metadata: { namespace: NAMESPACE, name: 'counted' },
      spec: { region: 'north', roles: ['pull'], meshRef: { name: 'mesh' } },
    };
    await servers.network.client.create(mediaEdges, edge as MediaEdge);
    const control = new HttpContract(controlService, servers.control.url);
    const params = { app: 'secret-app', name: 'secret-stream' };
    const place = async (act: string): Promise<PlacementResponse> =>
      eventually(`a place to ${act}`, async () => {
        const placed = await control.call(act, {
          token: APP_KEY,
          body: { stream: 'secret-app/secret-stream', user: 'secret-user' },
        });
        return placed.status === 200 ? placed.json<PlacementResponse>() : undefined;
      });
    const publisher = await newPublisher();
    closers.push(() => publisher.close());
    const pushed = await new HttpContract(mediaNodeService, one.url).call('whip', {
      params,
      body: publisher.offer,
      token: (await place('push')).token,
    });
    await publisher.accept(pushed.text);
    const player = await newPlayer();
    closers.push(() => player.close());
    const { token } = await place('pull');
    const node = new HttpContract(mediaNodeService, two.url);
    const pulled = await eventually('the stream at the other node', async () => {
      const answer = await node.call('whep', { params, body: player.offer, token });
      return answer.status === 201 ? answer : undefined;
    });
    await player.accept(pulled.text);
    await eventually('frames over the trunk', () => (player.received.video > 30 ? true : undefined));
    const gone = await node.call('short-pull', { body: { stream: 'secret-app/secret-stream', token } });
    await node.call('short-stop', { body: { session: gone.json<{ session: string }>().session } });
    await new Promise((resolve) => setTimeout(resolve, 2500)); // for metrics that are sampled once a second
    metrics = await metricsOf({ ...servers.registries, 'media node': two.registry });
    for (const [part, url] of [
      ['control', servers.control.opsUrl],
      ['operator', servers.operator.opsUrl],
      ['one', one.opsUrl],
      ['two', two.opsUrl],
    ] as const) {
      const text = await (await fetch(`${url}/metrics`)).text();
      for (const [, name, type] of text.matchAll(/^# TYPE (millrace_\w+) (\w+)$/gm)) types.set(name!, type!);
      samples[part] = samplesOf(text);
    }
  });
  after(async () => {
    for (const close of closers) await close();
    await servers?.stop();
  });

  test('docs/reference/metrics.md is as the running servers say', async () => {
    const page = await format(metricsPage(metrics), { ...(await resolveConfig(PAGE)), filepath: PAGE });
    assert.equal(page, await readFile(PAGE, 'utf8'), 'run `npm run generate:metrics`');
  });

  test('every scraped metric is documented with its type, and every documented metric is scraped', () => {
    assert.deepEqual(
      [...types].sort(([a], [b]) => (a < b ? -1 : 1)),
      metrics.map(({ name, type }) => [name, type]),
    );
  });

  test('names contain part, subject and unit, and every help text contains the unit', () => {
    for (const { name, type, help } of metrics) {
      assert.match(name, /^millrace_(control|operator|kube|node|relay|http)_[a-z_]+$/);
      const hasUnit = Object.keys(UNITS).some((unit) => name.endsWith(`_${unit}`));
      assert.ok(hasUnit || COUNTED.test(name), `${name} ends with no unit`);
      assert.equal(type === 'counter', name.endsWith('_total'), `${name} is a ${type}`);
      assert.ok(help.endsWith(`; ${unitOf(name)}`), `${name}: "${help}" must end with "; ${unitOf(name)}"`);
    }
  });

  test('each label is documented, and none holds a stream, a user, a session or an address', () => {
    const labelsOf = new Map(metrics.map(({ name, labels }) => [name, new Set([...labels, 'service'])]));
    for (const { labels } of metrics) for (const label of labels) assert.ok(LABELS[label], `label ${label}`);
    for (const { name, labels } of Object.values(samples).flat()) {
      const own = labelsOf.get(name) ?? labelsOf.get(name.replace(/_(bucket|sum|count)$/, ''));
      for (const [label, value] of Object.entries(labels)) {
        assert.ok(own?.has(label) || label === 'le', `${name} has the label ${label}, which is not documented`);
        if (label !== 'le') assert.doesNotMatch(value, /secret-|\d+\.\d+\.\d+\.\d+|[\w-]{22}/, `${name}{${label}}`);
      }
    }
  });

  test('the metrics show what happened', () => {
    const value = (part: string, name: string, labels: Record<string, string> = {}): number => {
      const found = samples[part]!.filter(
        (sample) => sample.name === name && Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted),
      );
      assert.ok(found.length > 0, `${part} has no ${name} ${JSON.stringify(labels)}`);
      return found.reduce((sum, sample) => sum + sample.value, 0);
    };
    const more: [number, string][] = [
      [value('control', 'millrace_control_placements_total', { kind: 'push', outcome: 'placed' }), 'placements'],
      [value('control', 'millrace_control_settings_compiled_total'), 'settings compiled'],
      [value('control', 'millrace_control_status_writes_total', { kind: 'MediaNode', outcome: 'written' }), 'status writes'],
      [value('operator', 'millrace_operator_edge_nodes', { edge: 'counted', state: 'desired' }), 'edge nodes'],
      [value('operator', 'millrace_kube_request_duration_seconds_count', { resource: 'pods' }), 'requests'],
      [value('operator', 'millrace_kube_reconcile_duration_seconds_count', { result: 'done' }), 'reconciliations'],
      [value('one', 'millrace_node_ingress_bits_per_second'), 'ingress'],
      [value('two', 'millrace_node_egress_bits_per_second'), 'egress'],
      [value('two', 'millrace_node_sessions', { kind: 'pull', protocol: 'whep', state: 'connected' }), 'sessions'],
      [value('two', 'millrace_node_sessions_opened_total', { kind: 'pull', protocol: 'short' }), 'sessions opened'],
      [value('two', 'millrace_node_sessions_closed_total', { kind: 'pull' }), 'sessions closed'],
      [value('two', 'millrace_relay_trunks', { state: 'Up' }), 'trunks'],
      [value('two', 'millrace_relay_trunk_rtt_seconds', { peer: 'one' }), 'RTT'],
      [value('two', 'millrace_relay_trunk_receive_bits_per_second', { peer: 'one' }), 'received'],
      [value('one', 'millrace_relay_subscribers'), 'subscribers'],
    ];
    assert.deepEqual(
      more.filter(([amount]) => !(amount > 0)).map(([, what]) => what),
      [],
    );
    assert.equal(value('control', 'millrace_control_connected_agents'), 2);
    assert.equal(value('control', 'millrace_control_streams'), 1);
    assert.equal(value('one', 'millrace_relay_streams', { role: 'origin' }), 1);
    assert.equal(value('two', 'millrace_relay_streams', { role: 'edge' }), 1);
    assert.equal(value('operator', 'millrace_kube_leading_status'), 1);
  });
});

function samplesOf(text: string): Sample[] {
  return [...text.matchAll(/^(millrace_\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels = '', value]) => ({
    name: name!,
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, content]) => [label!, content!]),
    ),
    value: Number(value),
  }));
}
