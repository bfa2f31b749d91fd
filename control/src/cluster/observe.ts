import { createHash } from 'node:crypto';
import type { MediaNode, MeshSettings, RelayMesh, StreamRoute, TrunkKey } from '@millrace/api';
import { canonicalHost, pathPolicyKey, TRUNK_KEY_BYTES, trunkAddressOf } from '@millrace/api';
import { isTrue } from '@millrace/kube';
import type { NodeSpec } from '../fleet/index.ts';
import type { RouteRule } from '../routes/index.ts';

/** Extracts what control needs from a MediaNode. */
export function nodeSpecOf({ metadata, spec, status }: MediaNode): NodeSpec {
  const { host, otherHosts, trunkPort } = status?.endpoints ?? {};
  return {
    name: metadata.name,
    generation: metadata.generation ?? 0,
    edge: spec.edge,
    mesh: spec.mesh,
    region: spec.region,
    provider: spec.provider,
    isp: spec.isp,
    roles: spec.roles,
    podUid: spec.pod.uid,
    addresses: spec.addresses?.map(canonicalHost),
    cordoned: spec.cordoned || metadata.deletionTimestamp !== undefined,
    drain: spec.drain && { policy: spec.drain.policy, deadlineAt: Date.parse(spec.drain.deadline) },
    capacity: spec.capacity,
    relays: spec.relays ?? [],
    peers: spec.peers ?? [],
    routes: spec.routes ?? [],
    lastAddress: host !== undefined && trunkPort ? trunkAddressOf({ host, otherHosts, trunkPort }) : undefined,
    wasConnected: isTrue(status?.conditions, 'AgentConnected'),
  };
}

/** Extracts what control needs from a StreamRoute. An empty list of regions means all regions, as an absent one does. */
export function ruleOf({ metadata, spec }: StreamRoute): RouteRule {
  const { origin, distribution, access, quality, path } = spec;
  const { via = [], avoid } = path;
  const isPathRequired = via.length + (avoid?.regions?.length ?? 0) + (avoid?.providers?.length ?? 0) > 0;
  // Regions that may not play the stream need no prewarming.
  const mayServe = (region: string): boolean => !distribution.regions?.length || distribution.regions.includes(region);
  const prewarm = (distribution.prewarm ?? []).filter(mayServe);
  return {
    name: metadata.name,
    priority: spec.priority,
    createdAt: metadata.creationTimestamp ?? '',
    patterns: spec.streams,
    ...(origin.regions?.length ? { originRegions: origin.regions } : {}),
    ...(prewarm.length > 0 ? { prewarmRegions: prewarm } : {}),
    policy: {
      policyKey: pathPolicyKey(path),
      ...(isPathRequired ? { pathRequired: true } : {}),
      lingerMs: distribution.lingerSeconds * 1000,
      onDuplicate: origin.onDuplicate,
      access: { publish: access.publish, play: access.play },
      ...(quality.maxPublishKbps === undefined ? {} : { maxPublishKbps: quality.maxPublishKbps }),
      ...(distribution.regions?.length ? { playRegions: distribution.regions } : {}),
    },
  };
}

/** The Secret that holds a mesh's trunk keys. */
export function trunkKeySecretOf({ metadata, spec }: RelayMesh): string {
  return spec.transport.encryption?.secretRef?.name ?? `${metadata.name}-trunk-key`;
}

/**
 * The settings of a mesh that nodes need. `data` is that of the Secret (base64): `psk` is the current key; keys named `psk-…` are also
 * accepted, in the order of their names, which allows rotation. Keys of another length than TRUNK_KEY_BYTES are left out, because nodes would
 * refuse all settings with one. Returns undefined without a usable `psk`: trunks are never unencrypted.
 */
export function meshSettingsOf({ metadata, spec }: RelayMesh, data: Readonly<Record<string, string>>): MeshSettings | undefined {
  if (!isTrunkKey(data['psk'])) return undefined;
  const older = Object.keys(data).filter((name) => name.startsWith('psk-') && isTrunkKey(data[name]));
  const keys: TrunkKey[] = ['psk', ...older.sort()]
    .slice(0, 4)
    .map((name) => ({ id: keyIdOf(data[name]!), secret: data[name]! }));
  const { kcp, fec, rateCapMbps } = spec.transport;
  const { heartbeatMs, sensitivity } = spec.routing.fastReroute;
  return {
    name: metadata.name,
    keys,
    kcp,
    fec,
    rateCapMbps,
    probeIntervalMs: spec.probe.intervalMs,
    probeWindowMs: spec.probe.windowSeconds * 1_000,
    fastReroute: { heartbeatMs, sensitivity },
  };
}

/** Whether a field of the Secret (base64) can be a trunk key. */
export function isTrunkKey(field: string | undefined): boolean {
  return field !== undefined && Buffer.from(field, 'base64').length === TRUNK_KEY_BYTES;
}

/** Identifies a key without revealing it. */
function keyIdOf(secret: string): string {
  return createHash('sha256').update(`millrace trunk key id\0${secret}`).digest('hex').slice(0, 8);
}
