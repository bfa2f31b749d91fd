import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** Settings of `up` and `down`: flags and `MILLRACE_…` variables. */
export const UpConfig = z.object({
  stateDir: z
    .string()
    .default(fileURLToPath(new URL('../../../.millrace', import.meta.url)))
    .describe('Folder of the network: its store, logs and kubeconfig'),
  host: z
    .string()
    .default('127.0.0.1')
    .describe(
      'Address of this machine at which media, signalling, control and the console are reached; the API stays on loopback',
    ),
  apiPort: z.number().int().min(0).max(65535).default(7443).describe('TCP port of the Kubernetes API'),
  controlPort: z.number().int().min(0).max(65535).default(7080).describe('TCP port of control'),
  consolePort: z.number().int().min(0).max(65535).default(7000).describe('TCP port of the console'),
  source: z
    .string()
    .default('')
    .describe('What to publish as live/demo: a media file, "none", or empty for a moving picture with a clock'),
  manifest: z.string().default('').describe('Resources to create at the first start instead of examples/laptop/network.yaml'),
  kubeconfig: z.string().default('').describe('Use the Kubernetes API of this kubeconfig in place of the embedded one'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Minimum level written to the log file'),
});
export type UpConfig = z.infer<typeof UpConfig>;
