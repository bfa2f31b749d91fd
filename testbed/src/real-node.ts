import type { MediaNodeSpec } from '@millrace/api';
import { createLogger, loadConfig, type Registry } from '@millrace/service';
import { MediaNodeConfig, startMediaNode, type MediaNode } from '@millrace/media-node';
import type { Control } from '@millrace/control';
import type { ControlNetwork } from './control-network.ts';

export interface RealNode {
  readonly node: MediaNode;
  readonly podUid: string;
}

/** A whole media node, with relay thread and workers, on free ports of loopback. */
export async function startRealNode(
  network: ControlNetwork,
  control: Control,
  name: string,
  spec: Partial<MediaNodeSpec> = {},
  { settings = {}, registry }: { settings?: NodeJS.ProcessEnv; registry?: Registry } = {},
): Promise<RealNode> {
  const hostIps = settings['MILLRACE_HOST_IPS'] ?? '127.0.0.1';
  const made = await network.node(name, { edge: name, mesh: 'mesh', addresses: hostIps.split(','), ...spec });
  const env = {
    MILLRACE_NODE_NAME: name,
    MILLRACE_POD_UID: made.uid,
    MILLRACE_REGION: made.spec.region,
    MILLRACE_ROLES: made.spec.roles.join(),
    MILLRACE_CONTROL_URL: control.agentUrl,
    MILLRACE_TOKEN_FILE: made.tokenFile,
    MILLRACE_STATE_DIR: made.folder,
    MILLRACE_HOST_IPS: hostIps,
    MILLRACE_MEDIA_PORT: '0',
    MILLRACE_TRUNK_PORT: '0',
    MILLRACE_SIGNALING_PORT: '0',
    MILLRACE_OPS_PORT: '0',
    ...settings,
  };
  const level = process.env['MILLRACE_TEST_LOG'] ?? 'silent';
  const logger = createLogger({ service: name, level });
  const node = await startMediaNode(loadConfig(MediaNodeConfig, { env }), logger, registry ? { registry } : {});
  return { node, podUid: made.uid };
}
