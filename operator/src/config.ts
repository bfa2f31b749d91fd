import { MetricsFrom } from '@millrace/service';
import { z } from 'zod';

/** Flags, environment (MILLRACE_…) and configuration file of the operator's process. */
export const OperatorConfig = z.object({
  kubeconfig: z
    .string()
    .optional()
    .describe('kubeconfig file; default KUBECONFIG, ~/.kube/config, or the service account of the pod'),
  context: z.string().optional().describe('context of the kubeconfig; default its current one'),
  namespace: z.string().max(63).optional().describe('watch only this namespace; default all'),
  leaseNamespace: z
    .string()
    .max(63)
    .optional()
    .describe('namespace of the Leases of the operator and of control; default that of the pod, else default'),
  controlUrl: z
    .string()
    .regex(/^wss?:\/\/[^/]+\/v1\/agent$/, 'must be ws(s)://host[:port]/v1/agent')
    .default('wss://millrace-control:8080/v1/agent')
    .refine((url) => URL.canParse(url), 'must be a URL')
    .describe('URL at which media nodes connect to control; wss:// by TLS, ws:// in clear, for a network that you trust'),
  controlCertificate: z
    .enum(['managed', 'own'])
    .default('managed')
    .describe(
      "who keeps control's certificate for wss://: managed, the operator (Secret millrace-control-tls, ConfigMap millrace-control-ca); own, you; --control-ca means own",
    ),
  controlCa: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe(
      'ConfigMap in the namespace of the edges whose ca.crt signs your own certificate for control; default with --control-certificate=own: the CAs that Node knows',
    ),
  mediaNodeImage: z.string().min(1).max(512).optional().describe('image of media nodes whose MediaEdge names none'),
  watchHosts: z.boolean().default(true).describe('drain media nodes on cordoned hosts; needs to read Nodes'),
  opsHost: z
    .string()
    .default('::')
    .describe('address to listen on (:: stands for all, of IPv6 and IPv4) for /metrics, /healthz and /readyz'),
  opsPort: z
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(9091)
    .describe('TCP port of /metrics, /healthz and /readyz; 0 picks a free one'),
  metricsFrom: MetricsFrom,
  qps: z.number().positive().max(10_000).default(50).describe('sustained requests per second to the Kubernetes API'),
  burst: z.number().int().positive().max(10_000).default(100).describe('burst of requests to the Kubernetes API'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info').describe('minimum level that is logged'),
});
export type OperatorConfig = z.infer<typeof OperatorConfig>;
