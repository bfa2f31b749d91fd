import type { Condition, MediaEdge, MediaNode } from '@millrace/api';
import { compileCrd } from '@millrace/api/validation';
import { mediaEdgeCrd } from '@millrace/api/crds/definitions';
import type { Pod } from '@millrace/kube';
import type { EdgeObservation, TlsSecret } from '../model.ts';
import { LABEL } from '../names.ts';
import { templateHash } from '../pod.ts';

/** 2026-01-01T00:00:00Z, the current time of every case. */
export const NOW_MS = Date.parse('2026-01-01T00:00:00Z');
const SETTINGS = { controlUrl: 'ws://control/v1/agent', defaultImage: 'media-node:1' };

/** One node of a case. What is not given is as on a healthy node of the current template. */
interface NodeCase {
  ageS?: number;
  ready?: boolean;
  /** How long ago its readiness changed, s; default 60. */
  readyChangeAgeS?: number;
  outdated?: boolean;
  /** As in the last report; absent: it never reported. */
  sessions?: number | undefined;
  /** false: its agent is not connected; without `sessions`, it never was. */
  connected?: boolean;
  reportAgeS?: number;
  /** Whether it acknowledged the generation of its spec; default true. */
  acknowledged?: boolean;
  /** How long ago its condition Draining became True, s. */
  drainSeenAgeS?: number;
  /** How long ago its drain began, s. */
  drainAgeS?: number | undefined;
  phase?: 'Running' | 'Pending' | 'Failed' | 'Succeeded';
  waiting?: string;
  host?: string;
  terminating?: boolean;
  inUse?: boolean;
  /** Its pod is gone. */
  podGone?: boolean;
  /** Its MediaNode is gone. */
  nodeGone?: boolean;
  /** The replica of control that held its agent is gone, and another replica set AgentConnected to Unknown. */
  orphaned?: boolean;
}

export interface EdgeCase {
  edge?: {
    replicas?: number;
    maxSurge?: number;
    maxUnavailable?: number;
    progressDeadlineSeconds?: number;
    policy?: 'Move' | 'Wait';
    timeoutSeconds?: number;
    deleting?: boolean;
    paused?: boolean;
    firstSight?: boolean;
    mesh?: string;
    noImage?: boolean;
  };
  nodes: Record<string, NodeCase>;
  uncertainCreates?: number;
  cordonedHosts?: string[];
  /** The replica of control that holds the agents does not renew its Lease. */
  controlGone?: boolean;
  missing?: { mesh?: boolean };
  /** Default: found. */
  tlsSecret?: TlsSecret;
  /** Default: nodes can verify control. */
  trust?: EdgeObservation['trust'];
  /** How long pods have been failing, s. */
  failingForS?: number;
  /** The error with which the API rejected a new pod. */
  createRefused?: string;
}

const crd = compileCrd(mediaEdgeCrd);

export function observeCase(given: EdgeCase): EdgeObservation {
  const edge = edgeOf(given.edge ?? {});
  const settings = given.edge?.noImage ? { controlUrl: SETTINGS.controlUrl } : SETTINGS;
  const nodes = Object.entries(given.nodes);
  const alive = nodes.filter(([, node]) => !node.podGone);
  return {
    edge,
    pods: alive.map(([name, node]) => podOf(edge, name, node, templateHash(edge, settings))),
    isDeleting: (pod) => pod.metadata?.deletionTimestamp !== undefined,
    uncertainCreates: given.uncertainCreates ?? 0,
    mediaNodes: nodes.filter(([, node]) => !node.nodeGone).map(([name, node]) => mediaNodeOf(name, node)),
    cordonedHosts: new Set(given.cordonedHosts),
    hostOf: () => undefined,
    missing: { mesh: given.missing?.mesh ?? false },
    tlsSecret: given.tlsSecret ?? { state: 'found' },
    trust: given.trust ?? { ok: true },
    settings,
    ...(given.failingForS === undefined
      ? {}
      : { failing: { sinceMs: NOW_MS - given.failingForS * 1000, lastMs: NOW_MS, last: 'edge-x: Evicted' } }),
    ...(given.createRefused ? { createRefused: given.createRefused } : {}),
    isReplicaAlive: (replica) => replica === 'control-0' && !given.controlGone,
    nowMs: NOW_MS,
  };
}

function edgeOf(given: NonNullable<EdgeCase['edge']>): MediaEdge {
  const condition = { type: 'Ready', status: 'True', reason: 'NodesReady', message: '', lastTransitionTime: time(3600) };
  const edge = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'MediaEdge',
    metadata: {
      name: 'edge',
      namespace: 'default',
      uid: 'edge-uid',
      generation: 3,
      ...(given.paused ? { annotations: { 'millrace.dev/paused': 'true' } } : {}),
      ...(given.deleting ? { deletionTimestamp: time(10) } : {}),
    },
    spec: {
      region: 'eu',
      roles: ['push', 'pull'],
      replicas: given.replicas ?? 1,
      update: {
        maxSurge: given.maxSurge ?? 1,
        maxUnavailable: given.maxUnavailable ?? 0,
        ...(given.progressDeadlineSeconds === undefined ? {} : { progressDeadlineSeconds: given.progressDeadlineSeconds }),
      },
      drain: { timeoutSeconds: given.timeoutSeconds ?? 1800, policy: given.policy ?? 'Move' },
      ...(given.mesh ? { meshRef: { name: given.mesh } } : {}),
    },
    status: { conditions: given.firstSight ? [] : [condition] },
  };
  crd.applyDefaults(edge);
  return edge as unknown as MediaEdge;
}

function podOf(edge: MediaEdge, name: string, node: NodeCase, hash: string): Pod {
  const ready = node.ready ?? (node.phase ?? 'Running') === 'Running';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: `${name}-uid`,
      creationTimestamp: time(node.ageS ?? 600),
      labels: {
        [LABEL.edge]: edge.metadata.name,
        [LABEL.template]: node.outdated ? 'older' : hash,
        ...(node.inUse ? { [LABEL.inUse]: 'true' } : {}),
      },
      ...(node.terminating ? { deletionTimestamp: time(-20) } : {}),
    },
    spec: { containers: [], nodeName: node.host ?? 'host-1' },
    status: {
      phase: node.phase ?? 'Running',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: time(node.readyChangeAgeS ?? 60) }],
      ...(node.waiting ? { containerStatuses: [{ name: 'media-node', state: { waiting: { reason: node.waiting } } }] } : {}),
    },
  } as Pod;
}

function mediaNodeOf(name: string, node: NodeCase): MediaNode {
  const connected = node.connected ?? true;
  const met = connected || node.sessions !== undefined;
  return {
    metadata: { name, namespace: 'default', uid: `${name}-node-uid`, generation: 2 },
    spec: {
      edge: 'edge',
      region: 'eu',
      provider: 'default',
      roles: ['pull', 'push'],
      pod: { name, uid: `${name}-uid` },
      cordoned: node.drainAgeS !== undefined,
      capacity: { sessions: 1000, egressMbps: 1000 },
      ...(node.drainAgeS === undefined
        ? {}
        : { drain: { policy: 'Move', since: time(node.drainAgeS), deadline: time(node.drainAgeS - 1800) } }),
    },
    ...(met
      ? {
          status: {
            agent: { replica: 'control-0', lastReportAt: time(node.reportAgeS ?? 1) },
            ...(node.sessions === undefined
              ? {}
              : { load: { sessions: node.sessions, cpuPercent: 10, egressMbps: node.sessions } }),
            programmedGeneration: (node.acknowledged ?? true) ? 2 : 1,
            endpoints: { signalingUrl: `http://${name}:8080` },
            conditions: [
              {
                type: 'AgentConnected',
                status: node.orphaned ? 'Unknown' : connected ? 'True' : 'False',
                reason: 'Test',
                message: '',
                lastTransitionTime: time(60),
              },
              ...(node.drainSeenAgeS === undefined ? [] : [drainSeen(node.drainSeenAgeS)]),
            ],
          },
        }
      : {}),
  };
}

function drainSeen(ageS: number): Condition {
  return { type: 'Draining', status: 'True', reason: 'Test', message: '', lastTransitionTime: time(ageS) };
}

function time(secondsAgo: number): string {
  return new Date(NOW_MS - secondsAgo * 1000).toISOString().replace('.000', '');
}
