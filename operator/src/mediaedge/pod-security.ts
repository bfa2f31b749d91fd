import type { MediaEdge } from '@millrace/api';
import type { Pod } from '@millrace/kube';

type PodSpec = NonNullable<Pod['spec']>;
type PodSecurity = NonNullable<PodSpec['securityContext']>;
type ContainerSecurity = NonNullable<PodSpec['containers'][number]['securityContext']>;

/** User and group of every media node. A number, so that an image without a numeric USER starts too. */
const NODE_ID = 65532;
/** Lower ports belong to root unless the network namespace says otherwise. */
const MIN_UNPRIVILEGED_PORT = 1024;

/**
 * A media node parses packets of strangers in C++, so a taken-over node must find little: no root, no capability, no way to more, no file to
 * change but its state and /tmp. This is what the Pod Security Standard "restricted" asks for; host network and host ports are not part of it.
 */
export const CONTAINER_SECURITY: ContainerSecurity = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
};

/** fsGroup makes volumes writable, and the service account's token and the TLS key readable, for the node's group. */
export function podSecurity({ spec }: MediaEdge): PodSecurity {
  const { hostNetwork, mediaPort, trunkPort, signalingPort, opsPort, rtpPorts } = spec.network;
  const ports = [mediaPort, trunkPort, signalingPort, opsPort, rtpPorts.min];
  const hasPrivilegedPort = ports.some((port) => port > 0 && port < MIN_UNPRIVILEGED_PORT);
  return {
    runAsNonRoot: true,
    runAsUser: NODE_ID,
    runAsGroup: NODE_ID,
    fsGroup: NODE_ID,
    seccompProfile: { type: 'RuntimeDefault' },
    // A pod may set this only for a network namespace of its own; on the host's network the host decides.
    ...(hasPrivilegedPort && !hostNetwork ? { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }] } : {}),
  };
}
