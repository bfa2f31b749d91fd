import { CONTROL_TLS_SECRET, IceServer } from '@millrace/api';
import { MetricsFrom, TrustedProxies } from '@millrace/service';
import { z } from 'zod';

const port = z.number().int().min(0).max(65_535);
const region = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and "-"');

/** Settings of a control replica: flags, environment (MILLRACE_…) or a YAML file. */
export const ControlConfig = z.object({
  kubeconfig: z
    .string()
    .optional()
    .describe('kubeconfig file; default KUBECONFIG, ~/.kube/config, or the service account of the pod'),
  context: z.string().optional().describe('context of the kubeconfig; default its current one'),
  namespace: z.string().optional().describe("namespace of the fleet; default that of the kubeconfig's context, else default"),
  host: z.string().default('::').describe('address to listen on; :: stands for all, of IPv6 and IPv4'),
  port: port.default(8080).describe('port of the HTTP API and of the agents'),
  tls: z.boolean().default(true).describe('serve HTTPS, and wss:// for agents; false: plain HTTP, for a network that you trust'),
  tlsSecret: z
    .string()
    .min(1)
    .max(253)
    .default(CONTROL_TLS_SECRET)
    .describe("Secret of type kubernetes.io/tls with control's certificate; the default is the one that the operator keeps"),
  tlsDir: z.string().optional().describe('folder with tls.crt and tls.key, followed when they change, instead of a Secret'),
  opsPort: port.default(9090).describe('port of /metrics, /healthz and /readyz'),
  replica: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be a name that can end the name of a Lease')
    .optional()
    .describe('unique name of this replica, e.g. its pod name; default a random one'),
  redisUrl: z
    .string()
    .optional()
    .meta({ secret: true })
    .describe('redis:// or rediss:// URL of the stream directory; default in memory, which supports only one replica'),
  redisPrefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/, 'must be 1 to 128 letters, digits, ".", "_" and "-"')
    .optional()
    .describe(
      'prefix of keys and channels in Redis, which fleets that share a Redis must not have in common; default the namespace',
    ),
  defaultRegion: region.optional().describe('region of clients whose region is unknown'),
  regionsByCidr: z
    .record(z.string(), z.object({ region: region.optional(), isp: z.string().max(63).optional() }))
    .default({})
    .describe('clients by address, e.g. {"203.0.113.0/24": {"region": "eu-west", "isp": "one"}}; the longest prefix counts'),
  publicReads: z.boolean().default(false).describe('answer GETs without an app key'),
  corsOrigins: z.array(z.string()).default(['*']).describe('origins that browsers may call from; * for any'),
  iceServers: z.array(IceServer).default([]).describe('ICE servers that control gives to clients, as JSON'),
  tokenTtlSeconds: z.number().int().min(30).max(604_800).default(3600).describe('lifetime of a media token, s'),
  trustedProxies: TrustedProxies,
  metricsFrom: MetricsFrom,
  requestsPerSecondPerAddress: z.number().positive().default(1000).describe('HTTP requests per second from one client address'),
  connectionsPerAddress: z
    .number()
    .int()
    .min(1)
    .default(2000)
    .describe('HTTP and agent connections from one address; all agents of a cluster may share one'),
  stopGraceSeconds: z
    .number()
    .min(0)
    .max(300)
    .default(5)
    .describe('how long control waits at shutdown for nodes to move to another replica, s'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info').describe('minimum level that is logged'),
});
export type ControlConfig = z.infer<typeof ControlConfig>;
