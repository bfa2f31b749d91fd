import { Host, NodeName, Port, RegionName, Role } from '@millrace/api';
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
  tokenFile: z
    .string()
    .default('/var/run/millrace/token/token')
    .describe('file with the bearer token for control; read anew for each connection'),
  stateDir: z.string().default('/var/lib/millrace').describe('where the last snapshot and ready.json are kept'),
  hostIp: Host.optional().describe("address of the node's host"),
  podIp: Host.optional().describe('address of the pod'),
  announcedSource: z
    .enum(['HostIP', 'PodIP', 'Static'])
    .default('HostIP')
    .describe('which address clients and other nodes are told'),
  announcedAddress: Host.optional().describe('the address for announcedSource Static'),
  mediaPort: Port.default(40000).describe('UDP port of the first media worker; worker i listens on this plus i'),
  trunkPort: Port.default(40100).describe('UDP port for other nodes'),
  signalingPort: Port.default(8080).describe('TCP port of WHIP, WHEP and the short forms'),
  opsPort: Port.default(9090).describe('TCP port of /metrics, /healthz and /readyz'),
  rtpPortMin: Port.default(41000).describe('first UDP port for plain RTP'),
  rtpPortMax: Port.default(41999).describe('last UDP port for plain RTP'),
  tlsDir: z.string().optional().describe('folder with tls.crt and tls.key: signalling by HTTPS'),
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

/** The address that others are told. @throws Error naming the missing setting */
export function announcedAddress(
  config: Pick<MediaNodeConfig, 'announcedSource' | 'announcedAddress' | 'hostIp' | 'podIp'>,
): string {
  const { source, value, name } = {
    HostIP: { source: 'HostIP', value: config.hostIp, name: 'MILLRACE_HOST_IP' },
    PodIP: { source: 'PodIP', value: config.podIp, name: 'MILLRACE_POD_IP' },
    Static: { source: 'Static', value: config.announcedAddress, name: 'MILLRACE_ANNOUNCED_ADDRESS' },
  }[config.announcedSource];
  if (value === undefined || value === '') throw new Error(`announcedSource is ${source}, so ${name} must be set`);
  return value;
}

/** A node that announces a loopback address is reachable there only; any other listens on all of its addresses. */
export function listenAddress(announced: string): string {
  return announced.startsWith('127.') || announced === '::1' ? announced : '0.0.0.0';
}
