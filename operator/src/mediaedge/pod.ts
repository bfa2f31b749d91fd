import { createHash } from 'node:crypto';
import type { MediaEdge } from '@millrace/api';
import { controllerRef, type Pod } from '@millrace/kube';
import { CONTAINER_SECURITY, podSecurity } from './pod-security.ts';
import { CONTAINER, LABEL, SERVICE_ACCOUNT, TOKEN_AUDIENCE } from './names.ts';

/** Settings of the operator that go into every pod. */
export interface PodSettings {
  /** ws(s)://host/v1/agent: the URL at which nodes connect to control. */
  controlUrl: string;
  /** ConfigMap of the edge's namespace whose ca.crt signs control's certificate; absent: a CA that Node knows. */
  controlCa?: string | undefined;
  /** For edges without spec.image. */
  defaultImage?: string | undefined;
}

type PodSpec = NonNullable<Pod['spec']>;
type Container = PodSpec['containers'][number];
type EnvVar = NonNullable<Container['env']>[number];

const RUN_DIR = '/var/run/millrace';
const STATE_DIR = '/var/lib/millrace';
/** Twice the settings of a node with MAX_STREAMS_OF_NODE streams of the longest description: the kept file and its successor. */
const STATE_SIZE = '1Gi';
const TMP_SIZE = '256Mi';
/** Nothing else of a Secret is mounted: whoever may edit a MediaEdge must not read other Secrets of the namespace through a pod. */
const TLS_FILES = ['tls.crt', 'tls.key'].map((key) => ({ key, path: key }));
/** Memory that a node may use unless its edge says otherwise, and further memory for each of its cores, MiB. */
const BASE_MEMORY_MIB = 512;
const MEMORY_PER_CORE_MIB = 512;
/** How long a node that is told to stop may take to move its sessions away, s. A drained node exits at once. */
const GRACE_SECONDS = 30;

/** The pod of one node. The node takes its name. */
export function buildPod(edge: MediaEdge, name: string, settings: PodSettings): Pod {
  const { labels, annotations, spec } = podTemplate(edge, settings);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: edge.metadata.namespace,
      labels: { ...labels, [LABEL.template]: templateHash(edge, settings) },
      ...(annotations ? { annotations } : {}),
      ownerReferences: [controllerRef(edge)],
    },
    spec,
  };
}

/** Hash of the pod template: changes whenever a pod created now would differ from an earlier one. */
export function templateHash(edge: MediaEdge, settings: PodSettings): string {
  return createHash('sha256')
    .update(JSON.stringify(podTemplate(edge, settings)))
    .digest('hex')
    .slice(0, 10);
}

export function selectorOf(edgeName: string): string {
  return `${LABEL.edge}=${edgeName}`;
}

function podTemplate(
  edge: MediaEdge,
  settings: PodSettings,
): { labels: Record<string, string>; annotations: Record<string, string> | undefined; spec: PodSpec } {
  const { spec } = edge;
  const template = spec.template ?? {};
  return {
    labels: {
      ...template.labels,
      [LABEL.edge]: edge.metadata.name,
      [LABEL.region]: spec.region,
      ...(spec.meshRef ? { [LABEL.mesh]: spec.meshRef.name } : {}),
      ...Object.fromEntries([...spec.roles].sort().map((role) => [LABEL.role(role), 'true'])),
    },
    annotations: template.annotations,
    spec: {
      containers: [container(edge, settings)],
      volumes: volumes(edge, settings),
      securityContext: podSecurity(edge),
      serviceAccountName: SERVICE_ACCOUNT,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: GRACE_SECONDS,
      // By default a hostNetwork pod resolves names as its host does and never finds control's Service.
      ...(spec.network.hostNetwork ? { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' } : {}),
      ...(template.nodeSelector ? { nodeSelector: template.nodeSelector } : {}),
      ...(template.tolerations ? { tolerations: template.tolerations } : {}),
      ...(template.priorityClassName ? { priorityClassName: template.priorityClassName } : {}),
      ...(template.imagePullSecrets ? { imagePullSecrets: template.imagePullSecrets } : {}),
    },
  };
}

function container(edge: MediaEdge, settings: PodSettings): Container {
  const { network } = edge.spec;
  return {
    name: CONTAINER,
    image: edge.spec.image ?? settings.defaultImage ?? '',
    env: environment(edge, settings),
    ports: hostPorts(edge),
    resources: resources(edge),
    securityContext: CONTAINER_SECURITY,
    readinessProbe: readinessProbe(network.opsPort),
    ...livenessProbe(network.opsPort),
    volumeMounts: [
      { name: 'token', mountPath: `${RUN_DIR}/token`, readOnly: true },
      { name: 'state', mountPath: STATE_DIR },
      { name: 'tmp', mountPath: '/tmp' },
      ...(network.tlsSecretRef ? [{ name: 'tls', mountPath: `${RUN_DIR}/tls`, readOnly: true }] : []),
      ...(settings.controlCa ? [{ name: 'control-ca', mountPath: `${RUN_DIR}/control-ca`, readOnly: true }] : []),
    ],
  };
}

function environment(edge: MediaEdge, settings: PodSettings): EnvVar[] {
  const { spec } = edge;
  const { network } = spec;
  const values: Record<string, string | undefined> = {
    MILLRACE_REGION: spec.region,
    MILLRACE_PROVIDER: spec.provider,
    MILLRACE_ISP: spec.isp,
    MILLRACE_ROLES: [...spec.roles].sort().join(','),
    MILLRACE_CONTROL_URL: settings.controlUrl,
    MILLRACE_CONTROL_CA_FILE: settings.controlCa ? `${RUN_DIR}/control-ca/ca.crt` : undefined,
    MILLRACE_TOKEN_FILE: `${RUN_DIR}/token/token`,
    MILLRACE_TLS_DIR: network.tlsSecretRef ? `${RUN_DIR}/tls` : undefined,
    MILLRACE_STATE_DIR: STATE_DIR,
    MILLRACE_MEDIA_PORT: String(network.mediaPort),
    MILLRACE_TRUNK_PORT: String(network.trunkPort),
    MILLRACE_SIGNALING_PORT: String(network.signalingPort),
    MILLRACE_OPS_PORT: String(network.opsPort),
    MILLRACE_RTP_PORT_MIN: String(network.rtpPorts.min),
    MILLRACE_RTP_PORT_MAX: String(network.rtpPorts.max),
    MILLRACE_ANNOUNCED_SOURCE: network.announcedAddress.source,
    MILLRACE_ANNOUNCED_ADDRESSES: network.announcedAddress.address ?? network.announcedAddress.addresses?.join(','),
    MILLRACE_CORES: String(spec.cpu.cores),
    MILLRACE_PINNING: spec.cpu.pinning,
    MILLRACE_CAPACITY_SESSIONS: String(spec.capacity.sessions),
    MILLRACE_CAPACITY_EGRESS_MBPS: String(spec.capacity.egressMbps),
  };
  return [
    fieldEnv('MILLRACE_NODE_NAME', 'metadata.name'),
    fieldEnv('MILLRACE_POD_UID', 'metadata.uid'),
    fieldEnv('MILLRACE_HOST_IPS', 'status.hostIPs'),
    fieldEnv('MILLRACE_POD_IPS', 'status.podIPs'),
    ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }])),
    ...(spec.template?.env ?? []),
  ];
}

const fieldEnv = (name: string, fieldPath: string): EnvVar => ({ name, valueFrom: { fieldRef: { fieldPath } } });

/** Declares every fixed port, so that the kube scheduler never puts two nodes with the same port on a host. */
function hostPorts(edge: MediaEdge): NonNullable<Container['ports']> {
  const { network, cpu, roles } = edge.spec;
  const relayOnly = roles.every((role) => role === 'relay');
  const workers = relayOnly ? 0 : Math.max(1, cpu.cores - 2);
  const port = (name: string, number: number, protocol: 'UDP' | 'TCP') =>
    number === 0 ? [] : [{ name, containerPort: number, hostPort: number, protocol }];
  return [
    ...Array.from({ length: network.mediaPort === 0 ? 0 : workers }, (_, i) =>
      port(`media-${i}`, network.mediaPort + i, 'UDP'),
    ).flat(),
    ...port('trunk', network.trunkPort, 'UDP'),
    // One port of the plain RTP range represents the range. This misses only ranges that overlap without being equal.
    ...(relayOnly ? [] : port('rtp', network.rtpPorts.min, 'UDP')),
    ...port('signaling', network.signalingPort, 'TCP'),
    ...port('ops', network.opsPort, 'TCP'),
  ];
}

/**
 * static: a Guaranteed pod (requests equal limits) with whole cores, to which the kubelet's static CPU policy assigns exclusive CPUs. The others
 * have no CPU limit: its throttling stops a node for up to 100 ms at a time, which is jitter. All have a memory limit, so that a node which
 * strangers overload or take over exhausts its own memory and not the host's.
 */
function resources({ spec: { cpu, memoryMiB } }: MediaEdge): NonNullable<Container['resources']> {
  const { cores, pinning } = cpu;
  const amounts = { cpu: String(cores), memory: `${memoryMiB ?? BASE_MEMORY_MIB + MEMORY_PER_CORE_MIB * cores}Mi` };
  const { memory } = amounts;
  switch (pinning) {
    case 'static':
      return { requests: amounts, limits: amounts };
    case 'affinity':
      return { requests: amounts, limits: { memory } };
    case 'none':
      return { requests: { cpu: '250m', memory: '256Mi' }, limits: { memory } };
  }
}

/** Readiness of a node that picks its own port, which an HTTP probe cannot know: the node keeps a file in its state folder while it is ready. */
function readinessProbe(opsPort: number): NonNullable<Container['readinessProbe']> {
  const timing = { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 3 };
  if (opsPort !== 0) return { httpGet: { path: '/readyz', port: opsPort }, ...timing };
  return { exec: { command: ['sh', '-c', 'test -f "$MILLRACE_STATE_DIR/ready.json"'] }, ...timing };
}

/**
 * A hung process keeps its media workers, so clients notice nothing; after 30 s the kubelet restarts the container. A node whose port is not
 * known in advance has no liveness probe.
 */
function livenessProbe(opsPort: number): Pick<Container, 'livenessProbe'> {
  if (opsPort === 0) return {};
  return {
    livenessProbe: { httpGet: { path: '/healthz', port: opsPort }, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 6 },
  };
}

function volumes(edge: MediaEdge, { controlCa }: PodSettings): NonNullable<PodSpec['volumes']> {
  const { tlsSecretRef } = edge.spec.network;
  const token = { audience: TOKEN_AUDIENCE, expirationSeconds: 3600, path: 'token' };
  return [
    { name: 'token', projected: { sources: [{ serviceAccountToken: token }] } },
    // The kubelet evicts a pod that writes more, so that a process that was taken over does not fill the host's disk.
    { name: 'state', emptyDir: { sizeLimit: STATE_SIZE } },
    { name: 'tmp', emptyDir: { sizeLimit: TMP_SIZE } },
    ...(tlsSecretRef ? [{ name: 'tls', secret: { secretName: tlsSecretRef.name, items: TLS_FILES } }] : []),
    ...(controlCa ? [{ name: 'control-ca', configMap: { name: controlCa, items: [{ key: 'ca.crt', path: 'ca.crt' }] } }] : []),
  ];
}
