import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@millrace/service';
import { Identity, SEED_BYTES } from './trunk/index.ts';

/** Both base64. */
export interface NodeKeyPair {
  seed: string;
  publicKey: string;
}

/**
 * The key by which other nodes know this one on trunks. It is kept in the state folder (mode 0600), like the settings with its certificate: a node that starts
 * while control is away goes on with both. Where it cannot be kept the node has a new key at each start, and needs control to certify it.
 */
export async function loadNodeKey(stateDir: string, logger: Logger): Promise<NodeKeyPair> {
  const path = join(stateDir, 'node-key');
  const kept = await read(path, logger);
  if (kept) return pairOf(kept);
  const seed = randomBytes(SEED_BYTES);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await keep(path, seed);
  } catch (err) {
    logger.warn({ err, path }, 'the key of this node cannot be kept: after a restart it has another, which control must certify');
  }
  return pairOf(seed);
}

async function read(path: string, logger: Logger): Promise<Buffer | undefined> {
  try {
    const seed = Buffer.from(await readFile(path, 'utf8'), 'base64');
    if (seed.length === SEED_BYTES) return seed;
    logger.warn({ path }, 'the kept key of this node is not one: a new one takes its place');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT')
      logger.warn({ err, path }, 'the kept key of this node cannot be read: a new one takes its place');
  }
  return undefined;
}

/** A crash half-way leaves the old file or none. */
async function keep(path: string, seed: Buffer): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(seed.toString('base64'));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

function pairOf(seed: Buffer): NodeKeyPair {
  return { seed: seed.toString('base64'), publicKey: new Identity(seed).publicKey.toString('base64') };
}
