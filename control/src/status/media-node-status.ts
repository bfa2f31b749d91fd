import type { MediaNodeStatus } from '@millrace/api';
import { maxItemsOf } from '@millrace/api/crd-bounds';
import { mediaNodeCrd } from '@millrace/api/crds/definitions';
import { formatTime, setCondition, type Condition } from '@millrace/kube';
import type { NodePresence } from '../directory/index.ts';
import type { NodeSpec } from '../fleet/index.ts';

export interface MediaNodeFacts {
  spec: NodeSpec;
  presence: NodePresence;
  connected: boolean;
  /** Why the connection ended. */
  disconnectReason?: string | undefined;
  /** The generation that the node acknowledged; absent: none yet. */
  programmedGeneration: number | undefined;
  /** The present conditions of the object. */
  conditions: readonly Condition[] | undefined;
  nowMs: number;
}

type Judgement = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

/** The whole part of the status that control owns. `nowMs`: since the Unix epoch. */
export function mediaNodeStatus(facts: MediaNodeFacts): MediaNodeStatus {
  const { spec, presence, programmedGeneration, nowMs } = facts;
  const { hello, report, reportedAt } = presence;
  let conditions: readonly Condition[] = (facts.conditions ?? []).filter(({ type }) => type !== 'Reported');
  for (const judgement of [agentConnected(facts), programmed(facts), draining(facts), cpusExclusive(facts), healthy(facts)]) {
    conditions = setCondition(conditions, { ...judgement, observedGeneration: spec.generation }, nowMs);
  }
  return {
    agent: {
      replica: presence.replica,
      bootId: hello.bootId,
      since: formatTime(presence.connectedAt),
      ...(reportedAt === undefined ? {} : { lastReportAt: formatTime(reportedAt) }),
    },
    endpoints: hello.endpoints,
    ...(report ? { load: loadOf(report.load), links: linksOf(report.links, spec) } : {}),
    ...(programmedGeneration === undefined ? {} : { programmedGeneration }),
    protocol: hello.protocol,
    version: hello.build,
    kernel: hello.kernel,
    cpus: hello.cpus,
    conditions: [...conditions],
  };
}

const MAX_LINKS = maxItemsOf(mediaNodeCrd, 'status.links');
const MAX_WHY_CHARACTERS = 1_000;

/** A reduced status for a node whose status the API rejects (`why`): its replica, its generation, and that the rest is missing. */
export function refusedNodeStatus(status: MediaNodeStatus, why: string, nowMs: number): MediaNodeStatus {
  const { agent, programmedGeneration, conditions } = status;
  const observedGeneration = conditions?.[0]?.observedGeneration;
  const reported = {
    type: 'Reported',
    status: 'False',
    reason: 'StatusRefused',
    message: `The API refuses the report of this node: ${why.slice(0, MAX_WHY_CHARACTERS)}`,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  } as const;
  return {
    ...(agent ? { agent } : {}),
    ...(programmedGeneration === undefined ? {} : { programmedGeneration }),
    conditions: setCondition(conditions, reported, nowMs),
  };
}

/** As many links as the object can hold, preferably those to the node's assigned peers; sorted by peer. */
function linksOf(links: readonly ReportedLink[], { peers }: NodeSpec): NonNullable<MediaNodeStatus['links']> {
  const wanted = new Set(peers.map(({ node }) => node));
  const kept =
    links.length <= MAX_LINKS
      ? links
      : [...links].sort((a, b) => Number(wanted.has(b.peer)) - Number(wanted.has(a.peer))).slice(0, MAX_LINKS);
  return kept.map(linkOf).sort((a, b) => (a.peer < b.peer ? -1 : 1));
}

function agentConnected({ connected, presence, disconnectReason }: MediaNodeFacts): Judgement {
  const type = 'AgentConnected';
  if (connected) return { type, status: 'True', reason: 'Connected', message: `connected to ${presence.replica}` };
  return {
    type,
    status: 'False',
    reason: 'Disconnected',
    message: `the connection to ${presence.replica} ended: ${disconnectReason ?? 'not known why'}`,
  };
}

function programmed({ connected, spec, programmedGeneration }: MediaNodeFacts): Judgement {
  const type = 'Programmed';
  const runs = programmedGeneration === undefined ? 'nothing acknowledged yet' : `runs generation ${programmedGeneration}`;
  if (programmedGeneration === spec.generation) return { type, status: 'True', reason: 'Acknowledged', message: runs };
  if (!connected) return { type, status: 'Unknown', reason: 'Disconnected', message: `${runs} as last heard` };
  return { type, status: 'False', reason: 'Pending', message: `${runs}, generation ${spec.generation} is desired` };
}

/** True from the node's acknowledgement on: the node then takes nothing new, and a report of zero sessions is final. */
function draining({ spec, programmedGeneration }: MediaNodeFacts): Judgement {
  const type = 'Draining';
  if (!spec.drain) return { type, status: 'False', reason: 'NotDraining', message: '' };
  const message = `${spec.drain.policy} until ${formatTime(spec.drain.deadlineAt)}`;
  if (programmedGeneration !== spec.generation) return { type, status: 'False', reason: 'NotAcknowledged', message };
  return { type, status: 'True', reason: 'Acknowledged', message };
}

function cpusExclusive({ presence: { hello } }: MediaNodeFacts): Judgement {
  const type = 'CPUsExclusive';
  const message = `runs on ${hello.cpus}`;
  if (hello.cpusExclusive === undefined) return { type, status: 'Unknown', reason: 'NotReported', message };
  return hello.cpusExclusive
    ? { type, status: 'True', reason: 'Exclusive', message }
    : { type, status: 'False', reason: 'Shared', message };
}

/** What the node says of itself: media workers that die, an announced name that does not resolve. */
function healthy({ connected, presence: { report } }: MediaNodeFacts): Judgement {
  const type = 'Healthy';
  if (!report || !connected) return { type, status: 'Unknown', reason: 'NotReported', message: 'no present report of the node' };
  if (!report.problems?.length) return { type, status: 'True', reason: 'NoProblems', message: 'the node reports no problem' };
  return { type, status: 'False', reason: 'ProblemsReported', message: report.problems.join('; ') };
}

type ReportedLoad = NonNullable<NodePresence['report']>['load'];
type ReportedLink = NonNullable<NodePresence['report']>['links'][number];

function loadOf({ cpuPercent, egressMbps, ingressMbps, ...counts }: ReportedLoad): MediaNodeStatus['load'] {
  return { cpuPercent: tenths(cpuPercent), egressMbps: tenths(egressMbps), ingressMbps: tenths(ingressMbps), ...counts };
}

function linkOf({
  peer,
  state,
  rttMs,
  jitterMs,
  lossPercent,
  mtuBytes,
}: ReportedLink): NonNullable<MediaNodeStatus['links']>[number] {
  const measured = { rttMs: tenths(rttMs), jitterMs: tenths(jitterMs), lossPercent: tenths(lossPercent) };
  return { peer, state, ...measured, ...(mtuBytes !== undefined && { mtuBytes }) };
}

export function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
