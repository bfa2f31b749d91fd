import type { Container, Pod } from './pod.ts';

/** The machine's addresses, which serve as pod and host addresses. */
export interface Addresses {
  /** The preferred address first; there may be several of one family. */
  hostIPs: readonly string[];
  podIPs: readonly string[];
}
/** Reads one key of a Secret or ConfigMap; undefined when there is none. */
type LookUp = (kind: 'secret' | 'configMap', name: string, key: string) => string | undefined;
type LookUpAll = (kind: 'secret' | 'configMap', name: string) => Record<string, string> | undefined;

export interface EnvironmentSources {
  addresses: Addresses;
  lookUp: LookUp;
  lookUpAll: LookUpAll;
  /** Local folder for each mountPath of the container. */
  mounts: ReadonlyMap<string, string>;
}

/** The environment of a container. Throws an Error naming the variable that refers to something missing. */
export function environmentOf(pod: Pod, container: Container, sources: EnvironmentSources): Record<string, string> {
  const env: Record<string, string> = {};
  for (const { prefix = '', secretRef, configMapRef } of container.envFrom ?? []) {
    const [kind, reference] = secretRef ? (['secret', secretRef] as const) : (['configMap', configMapRef] as const);
    const values = sources.lookUpAll(kind, reference?.name ?? '');
    if (!values && !reference?.optional) throw new Error(`envFrom: ${kind} ${JSON.stringify(reference?.name)} not found`);
    for (const [key, value] of Object.entries(values ?? {})) env[prefix + key] = value;
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const found = valueFrom ? valueOf(name, pod, valueFrom, sources) : expand(value ?? '', env);
    if (found !== undefined) env[name] = localPath(found, sources.mounts);
  }
  return env;
}

type ValueFrom = NonNullable<NonNullable<Container['env']>[number]['valueFrom']>;

function valueOf(name: string, pod: Pod, from: ValueFrom, { addresses, lookUp }: EnvironmentSources): string | undefined {
  if (from.fieldRef) return fieldOf(name, pod, from.fieldRef.fieldPath, addresses);
  const [kind, reference] = from.secretKeyRef
    ? (['secret', from.secretKeyRef] as const)
    : (['configMap', from.configMapKeyRef] as const);
  if (!reference) throw new Error(`env ${name}: only fieldRef, secretKeyRef and configMapKeyRef are supported here`);
  const found = lookUp(kind, reference.name ?? '', reference.key);
  if (found === undefined && !reference.optional)
    throw new Error(`env ${name}: ${kind} ${JSON.stringify(reference.name)} has no key ${JSON.stringify(reference.key)}`);
  return found;
}

function fieldOf(name: string, pod: Pod, path: string, { hostIPs, podIPs }: Addresses): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return pod.metadata?.[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
  const fields: Record<string, string | undefined> = {
    'metadata.name': pod.metadata?.name,
    'metadata.namespace': pod.metadata?.namespace,
    'metadata.uid': pod.metadata?.uid,
    'spec.nodeName': pod.spec?.nodeName,
    'spec.serviceAccountName': pod.spec?.serviceAccountName,
    'status.hostIP': hostIPs[0],
    'status.hostIPs': hostIPs.join(','),
    'status.podIP': podIPs[0],
    'status.podIPs': podIPs.join(','),
  };
  if (!(path in fields)) throw new Error(`env ${name}: fieldRef ${JSON.stringify(path)} is not supported`);
  return fields[path] ?? '';
}

/** Replaces `$(NAME)` by the variable's value and `$$(NAME)` by `$(NAME)`; keeps references to undefined variables (API reference, Container.args). */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([A-Za-z_.-][\w.-]*)\))/g, (whole, escape: string, name: string | undefined) => {
    if (escape === '$') return '$';
    return name !== undefined && Object.hasOwn(env, name) ? (env[name] ?? '') : whole;
  });
}

/**
 * A local process has no mount namespace: a value that is a mountPath of the container, or lies below one, is replaced by the local
 * folder of the volume.
 */
export function localPath(value: string, mounts: ReadonlyMap<string, string>): string {
  const paths = [...mounts.keys()].sort((a, b) => b.length - a.length);
  const mount = paths.find((path) => value === path || value.startsWith(`${path.replace(/\/$/, '')}/`));
  return mount === undefined ? value : (mounts.get(mount) ?? '') + value.slice(mount.replace(/\/$/, '').length);
}

/** The command line of a container: its own command or else the program of its image, then its args. */
export function argvOf(
  container: Container,
  imageCommand: readonly string[] | undefined,
  env: Readonly<Record<string, string>>,
  mounts: ReadonlyMap<string, string>,
): string[] {
  const resolve = (text: string) => localPath(expand(text, env), mounts);
  const command = container.command?.length ? container.command.map(resolve) : [...(imageCommand ?? [])];
  return [...command, ...(container.args ?? []).map(resolve)];
}
