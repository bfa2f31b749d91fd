import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { StateDir } from './state-dir.ts';

/** Users of the embedded API: each part has its own, so that managed fields show which part wrote a field. */
const USERS = ['admin', 'operator', 'control', 'node-agent'] as const;
export type User = (typeof USERS)[number];

export type Credentials = Readonly<Record<User, string>>;

/** The tokens of this network's users, created at its first start and stored, so that kubeconfigs stay valid. */
export function loadCredentials(dir: StateDir): Credentials {
  const file = dir.file('credentials.json');
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Credentials;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = Object.fromEntries(USERS.map((user) => [user, randomBytes(24).toString('base64url')])) as Record<User, string>;
  // Written atomically: a network that is killed here must be able to start again.
  writeFileSync(`${file}.new`, JSON.stringify(made), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return made;
}

/** The same by token, as the API server requires. */
export function usersByToken(credentials: Credentials): Record<string, { user: string; groups: string[] }> {
  return Object.fromEntries(USERS.map((user) => [credentials[user], { user, groups: ['system:masters'] }]));
}
