import { canonicalHost, Host, MAX_HOSTS, NodeName, Port, RegionName, Role } from '@millrace/api';
import { z } from 'zod';
import { MetricsFrom, TrustedProxies } from '@millrace/service';
import type { IceServer } from './signaling/context.ts';

const IceServers = z
  .string()
  .default('')
  .describe('STUN and TURN servers that clients are told of, comma-separated, e.g. "stun:stun.example.org:3478"')
  .transform((text): IceServer[] => {
    const urls = text
      .split(',')
      .map((url) => url.trim())
      .filter((url) => url !== '');
    return urls.length > 0 ? urls.map((url) => ({ urls: [url] })) : [];
  });

const Hosts = z.array(Host).max(MAX_HOSTS).default([]);

/** Settings of a media node. The operator sets the variables from the MediaEdge; a port of 0 takes a free one and reports it. */
export const MediaNodeConfig = z.object({
  nodeName: NodeName.describe("this node's name: the pod's"),
  podUid: z.string().min(1).max(128).default('none').describe('UID of the pod, checked by control against the token'),
  region: RegionName.describe('routing domain of this node'),
  provider: z.string().min(1).max(63).default('default').describe('fault and cost domain, e.g. a cloud'),
  isp: z.string().max(63).optional().describe('last-mile label'),
  roles: z
    .array(Role)
    .min(1)
    .max(3)
    .default(['push', 'pull', 'relay'])
    .describe('push: takes publishers; pull: serves viewers; relay: forwards between nodes'),
  controlUrl: z.url().max(512).describe("control's agent channel, ws:// or wss://, ending in /v1/agent"),
  controlCaFile: z
    .string()
    .optional()
    .describe(
      "PEM file with the CAs that may sign control's certificate, for wss://; read anew for each connection; default Node's own",
    ),
  tokenFile: z
    .string()
    .default('/var/run/millrace/token/token')
    .describe('file with the bearer token for control; read anew for each connection'),
  stateDir: z.string().default('/var/lib/millrace').describe('where the last snapshot and ready.json are kept'),
  hostIps: Hosts.describe("addresses of the node's host"),
  podIps: Hosts.describe('addresses of the pod'),
  announcedSource: z
    .enum(['HostIP', 'PodIP', 'Static'])
    .default('HostIP')
    .describe('which addresses clients and other nodes are told'),
  announcedAddresses: Hosts.describe('the IP addresses or DNS names for announcedSource Static, the preferred one first'),
  mediaPort: Port.default(40000).describe('UDP port of the first media worker; worker i listens on this plus i'),
  trunkPort: Port.default(40100).describe('UDP port for other nodes'),
  signalingPort: Port.default(8080).describe('TCP port of WHIP, WHEP and the short forms'),
  opsPort: Port.default(9090).describe('TCP port of /metrics, /healthz and /readyz'),
  rtpPortMin: Port.default(41000).describe('first UDP port for plain RTP'),
  rtpPortMax: Port.default(41999).describe('last UDP port for plain RTP'),
  tlsDir: z.string().optional().describe('folder with tls.crt and tls.key, followed when they change: signalling by HTTPS'),
  cores: z
    .number()
    .int()
    .min(1)
    .max(128)
    .default(2)
    .describe('CPUs of this node: media workers, one relay thread, one for the rest'),
  pinning: z
    .enum(['none', 'affinity', 'static'])
    .default('none')
    .describe('whether media workers are bound to CPUs of the cpuset'),
  capacitySessions: z.number().int().min(0).default(1000).describe('publishers and viewers taken at most'),
  capacityEgressMbps: z.number().int().min(1).default(1000).describe('what this node may send, as told to control'),
  sessionsPerSecondPerAddress: z.number().positive().default(50).describe('new sessions a second from one client address'),
  pendingPerAddress: z.number().int().min(1).default(200).describe('sessions of one client address that have not connected yet'),
  sessionsPerAddress: z.number().int().min(1).default(5000).describe('sessions of one client address'),
  plainSessionsPerAddress: z.number().int().min(1).default(64).describe('plain RTP sessions of one client address'),
  requestsPerSecondPerAddress: z.number().positive().default(500).describe('HTTP requests a second from one client address'),
  connectionsPerAddress: z.number().int().min(1).default(1000).describe('HTTP connections of one client address'),
  trustedProxies: TrustedProxies,
  metricsFrom: MetricsFrom,
  iceServers: IceServers,
});
export type MediaNodeConfig = z.infer<typeof MediaNodeConfig>;

/** Media workers: none for a relay; else one CPU goes to Node and one to the relay thread. */
export function workerCount(config: Pick<MediaNodeConfig, 'roles' | 'cores'>): number {
  return config.roles.every((role) => role === 'relay') ? 0 : Math.max(1, config.cores - 2);
}

/** The addresses and names that others are told, the preferred one first, each written in one way. @throws Error naming the missing setting */
export function announcedHosts(
  config: Pick<MediaNodeConfig, 'announcedSource' | 'announcedAddresses' | 'hostIps' | 'podIps'>,
): string[] {
  const source = config.announcedSource;
  const { hosts, name } = {
    HostIP: { hosts: config.hostIps, name: 'MILLRACE_HOST_IPS' },
    PodIP: { hosts: config.podIps, name: 'MILLRACE_POD_IPS' },
    Static: { hosts: config.announcedAddresses, name: 'MILLRACE_ANNOUNCED_ADDRESSES' },
  }[source];
  if (hosts.length === 0) throw new Error(`announcedSource is ${source}, so ${name} must be set`);
  return [...new Set(hosts.map(canonicalHost))];
}
