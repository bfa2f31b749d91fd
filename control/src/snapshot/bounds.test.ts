import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT_MAX_MESSAGE_BYTES, MAX_SNAPSHOT_PEERS, NodeSettings, Snapshot } from '@millrace/api';
import { maxItemsOf } from '@millrace/api/crd-bounds';
import { mediaNodeCrd } from '@millrace/api/crds/definitions';
import { MAX_NODE_NAME, MAX_PATH_HOPS } from '@millrace/api/trunk';
import type { NodeSpec } from '../fleet/index.ts';
import { compileSettings } from './compile.ts';

const name = (prefix: string, n: number): string => `${prefix}-${n}`.padEnd(MAX_NODE_NAME, 'x');
const many = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n));
const bound = (path: string): number => maxItemsOf(mediaNodeCrd, path);

/** A MediaNode with as many routes, paths, hops and peers as its CRD allows; each path over relays of its own. */
const spec: NodeSpec = {
  name: name('node', 0),
  generation: 1,
  edge: 'edge',
  region: 'r'.repeat(63),
  provider: 'p',
  isp: undefined,
  roles: ['pull'],
  mesh: 'mesh',
  cordoned: false,
  drain: undefined,
  capacity: { sessions: 1, egressMbps: 1 },
  podUid: 'uid',
  relays: many(bound('spec.relays'), (n) => name('relay', n)),
  peers: many(bound('spec.peers'), (n) => ({ node: name('peer', n), region: 'r' })),
  routes: many(bound('spec.routes'), (route) => ({
    originRegion: `r-${route}`.padEnd(63, 'x'),
    policy: `p-${route}`.padEnd(64, 'x'),
    paths: many(bound('spec.routes[].paths'), (path) => ({
      hops: many(bound('spec.routes[].paths[].hops'), (hop) => name(`hop-${route}-${path}`, hop)),
    })),
  })),
} as unknown as NodeSpec;

const address = { host: `${'h'.repeat(63)}.${'h'.repeat(63)}.example`, port: 40_100, region: 'r'.repeat(63) };
const compiled = compileSettings({ spec, mesh: undefined, tokenKeys: [], addressOf: () => address });

test('at all bounds of its CRD, a MediaNode becomes settings that its node can read', () => {
  assert.equal(bound('spec.routes[].paths[].hops'), MAX_PATH_HOPS);
  assert.deepEqual(NodeSettings.parse(compiled), compiled);
  const snapshot = { ...compiled, version: 1, digest: 'd', streams: [] };
  assert.ok(Snapshot.safeParse(snapshot).success);
  assert.ok(Buffer.byteLength(JSON.stringify(snapshot)) < AGENT_MAX_MESSAGE_BYTES);
});

test('beyond the peers that fit, relays and probed nodes stay, and the first routes', () => {
  const known = new Set(compiled.peers.map(({ node }) => node));
  assert.equal(known.size, MAX_SNAPSHOT_PEERS);
  assert.deepEqual(compiled.relays, spec.relays);
  assert.equal(compiled.probe.length, spec.peers.length);
  assert.ok(compiled.routes.length > 0 && compiled.routes.length < spec.routes.length);
  assert.equal(compiled.routes[0]?.originRegion, spec.routes[0]?.originRegion);
  for (const { paths } of compiled.routes) for (const { hops } of paths) assert.ok(hops.every((hop) => known.has(hop)));
});
