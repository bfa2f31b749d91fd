import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Container, Pod, Volume } from './pod.ts';

/** The sources of volumes. */
export interface VolumeSources {
  /** Values decoded; undefined when the object does not exist. */
  secret(name: string): Promise<Record<string, Buffer> | undefined>;
  configMap(name: string): Promise<Record<string, Buffer> | undefined>;
  token(audience: string | undefined, expirationSeconds: number): Promise<string>;
}
type Items = { key: string; path: string }[] | undefined;
type Files = Record<string, Buffer | string>;

const volumeDir = (podDir: string, name: string) => join(podDir, 'volumes', name);

/** Writes the files of the pod's volumes. Throws an Error naming the volume that cannot be created. */
export async function materialiseVolumes(pod: Pod, podDir: string, sources: VolumeSources): Promise<void> {
  for (const volume of pod.spec?.volumes ?? []) {
    if (volume.hostPath) continue;
    const dir = volumeDir(podDir, volume.name);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const files = await contentOf(volume, pod, sources);
    if (!files) continue;
    for (const [path, content] of Object.entries(files)) writeInside(dir, path, content);
    for (const stale of readdirSync(dir))
      if (!Object.keys(files).some((path) => path.split('/')[0] === stale)) rmSync(join(dir, stale), { recursive: true });
  }
}

/** The files of a volume; undefined for one that the container fills (emptyDir). */
async function contentOf(volume: Volume, pod: Pod, sources: VolumeSources): Promise<Files | undefined> {
  if (volume.emptyDir) return undefined;
  if (volume.secret)
    return pick(volume.name, await sources.secret(volume.secret.secretName ?? ''), volume.secret.items, volume.secret.optional);
  if (volume.configMap)
    return pick(
      volume.name,
      await sources.configMap(volume.configMap.name ?? ''),
      volume.configMap.items,
      volume.configMap.optional,
    );
  if (volume.projected) {
    const parts = await Promise.all((volume.projected.sources ?? []).map((source) => projection(volume.name, source, sources)));
    return Object.assign({}, ...parts) as Files;
  }
  if (volume.downwardAPI)
    throw new Error(`volume ${volume.name}: downwardAPI volumes of pod ${pod.metadata?.name} are not supported here, use env`);
  throw new Error(`volume ${volume.name}: only emptyDir, hostPath, secret, configMap and projected volumes are supported here`);
}

type Projection = NonNullable<NonNullable<Volume['projected']>['sources']>[number];

async function projection(volume: string, source: Projection, sources: VolumeSources): Promise<Files> {
  const { serviceAccountToken, secret, configMap } = source;
  if (serviceAccountToken) {
    const { audience, path, expirationSeconds = 3600 } = serviceAccountToken;
    return { [path]: await sources.token(audience, expirationSeconds) };
  }
  if (secret) return pick(volume, await sources.secret(secret.name ?? ''), secret.items, secret.optional);
  if (configMap) return pick(volume, await sources.configMap(configMap.name ?? ''), configMap.items, configMap.optional);
  throw new Error(`volume ${volume}: only serviceAccountToken, secret and configMap projections are supported here`);
}

function pick(volume: string, data: Record<string, Buffer> | undefined, items: Items, optional = false): Files {
  if (!data && !optional) throw new Error(`volume ${volume}: the object that it shows does not exist`);
  if (!items) return data ?? {};
  const picked: Files = {};
  for (const { key, path } of items) {
    const value = data?.[key];
    if (value) picked[path] = value;
    else if (!optional) throw new Error(`volume ${volume}: key ${JSON.stringify(key)} does not exist`);
  }
  return picked;
}

/** Replaces a file as a whole: a reader sees the old or the new content. */
function writeInside(dir: string, path: string, content: Buffer | string): void {
  const target = resolve(dir, path);
  if (!target.startsWith(`${resolve(dir)}/`)) throw new Error(`volume path ${JSON.stringify(path)} leaves the volume`);
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  writeFileSync(`${target}.new`, content, { mode: 0o600 });
  renameSync(`${target}.new`, target);
}

/** The local path of each mountPath of a container. */
export function mountsOf(pod: Pod, container: Container, podDir: string): Map<string, string> {
  const mounts = new Map<string, string>();
  for (const { name, mountPath, subPath } of container.volumeMounts ?? []) {
    const volume = pod.spec?.volumes?.find((candidate) => candidate.name === name);
    const root = volume?.hostPath?.path ?? volumeDir(podDir, name);
    mounts.set(mountPath, subPath ? join(root, subPath) : root);
  }
  return mounts;
}
