import { randomBytes } from 'node:crypto';
import { secrets } from '@millrace/kube';
import { eventually, NAMESPACE, ControlNetwork } from './control-network.ts';
import { startRealNode } from './real-node.ts';

export interface PublicNode {
  /** Base URL of the node's signalling. */
  readonly url: string;
  close(): Promise<void>;
}

/** One real media node with the push and pull roles and its own control, on which anybody may publish and play `live/*`. */
export async function startPublicNode({ hostIp = '127.0.0.1' }: { hostIp?: string } = {}): Promise<PublicNode> {
  const network = await ControlNetwork.start();
  const psk = randomBytes(32).toString('base64');
  await network.client.create(secrets, { metadata: { namespace: NAMESPACE, name: 'mesh-trunk-key' }, data: { psk } });
  await network.mesh('mesh');
  await network.route('public', { streams: ['live/*'], access: { publish: 'Public', play: 'Public' } });
  const control = await network.control();
  const { node } = await startRealNode(network, control, 'node', {}, { settings: { MILLRACE_HOST_IPS: hostIp } });
  await eventually(() => node.readiness().ok, 'the node is ready');
  return {
    url: node.endpoints.signalingUrl,
    close: async () => {
      await node.close();
      await network.stop();
    },
  };
}
