import type { NodeLoad, Report, StreamReport } from '@millrace/api';
import type { NodePresence, StreamEntry } from '../directory/index.ts';
import type { NodeSpec } from '../fleet/index.ts';

/** Test objects: a test gives what it is about, and the rest gets plausible defaults. */
export function spec(name: string, more: Partial<NodeSpec> = {}): NodeSpec {
  return {
    name,
    generation: 1,
    edge: 'edge',
    region: 'north',
    provider: 'default',
    roles: ['push', 'pull'],
    podUid: `uid-${name}`,
    cordoned: false,
    capacity: { sessions: 100, egressMbps: 1000 },
    relays: [],
    peers: [],
    routes: [],
    ...more,
  };
}

export function entry(stream: string, more: Partial<StreamEntry> = {}): StreamEntry {
  return {
    stream,
    epoch: 1,
    node: 'a',
    region: 'north',
    host: '127.0.0.1',
    port: 1,
    session: 's',
    since: 1,
    tracks: [],
    ...more,
  };
}

export function report(more: Partial<Omit<Report, 'load'>> & { load?: Partial<NodeLoad> } = {}): Report {
  const load = { cpuPercent: 5, egressMbps: 0, ingressMbps: 0, sessions: 0, publishers: 0, viewers: 0, streams: 0, ...more.load };
  return { at: 0, links: [], streams: [], ...more, load };
}

export function carries(stream: string, more: Partial<StreamReport> = {}): StreamReport {
  return { stream, epoch: 1, role: 'edge', viewers: 0, path: ['a'], rttMs: 10, lossPercent: 0, ...more };
}

export function presence(node: string, more: Partial<NodePresence> = {}): NodePresence {
  return {
    node,
    replica: 'r1',
    connectedAt: 1,
    hello: {
      podUid: `uid-${node}`,
      bootId: 'boot-1',
      bootedAt: 0,
      build: 'test',
      protocol: 1,
      roles: ['push', 'pull'],
      region: 'north',
      provider: 'default',
      endpoints: {
        signalingUrl: `http://${node}`,
        host: '127.0.0.1',
        trunkPort: 1,
        mediaPorts: [],
        opsUrl: 'http://127.0.0.1:2',
      },
      kernel: { rmemMax: 1, wmemMax: 1 },
      cpus: '0-1',
    },
    ...more,
  };
}
