import { createHash } from 'node:crypto';
import type { Identity } from '../http/request.ts';

export interface StaticUser {
  user: string;
  groups?: string[];
}
const digest = (token: string) => createHash('sha256').update(token).digest('hex');

/** Maps bearer tokens to users. Tokens are stored as digests, so that a lookup takes the same time for every token. */
export class StaticTokens {
  readonly #users: Map<string, Identity>;

  constructor(tokens: Record<string, StaticUser>) {
    this.#users = new Map(
      Object.entries(tokens).map(([token, { user, groups = [] }]) => [
        digest(token),
        { username: user, groups: [...groups, 'system:authenticated'] },
      ]),
    );
  }

  identify(token: string): Identity | undefined {
    return this.#users.get(digest(token));
  }
}

/** The token of an Authorization header; undefined when there is none. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(header ?? '')?.[1];
}
