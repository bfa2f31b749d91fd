import { z } from 'zod';
import { Epoch, Host, NodeName, OtherHosts, Port, RegionName, SessionId, StreamName, UserId } from '@millrace/api';
import { tracksSchema } from '@millrace/api/trunk';
import type { DirectoryChange, NodePresence, StreamEntry } from './directory.ts';

const Since = z.number().nonnegative();

const Body = z.object({
  stream: StreamName,
  node: NodeName,
  region: RegionName,
  host: Host,
  otherHosts: OtherHosts.optional(),
  port: Port,
  session: SessionId,
  tracks: tracksSchema,
});

/** Only what identifies it: the rest was checked by the replica that the node is connected to, and may be of another version. */
const Presence = z.looseObject({
  node: NodeName,
  replica: z.string().max(256),
  connectedAt: z.number(),
  hello: z.looseObject({}),
});

const Change = z.discriminatedUnion('type', [
  z.object({ type: z.literal('published'), epoch: Epoch, since: Since, user: UserId.nullable(), entry: Body }),
  z.object({ type: z.literal('removed'), stream: StreamName, epoch: Epoch }),
  z.object({ type: z.literal('node'), presence: Presence }),
  z.object({ type: z.literal('node-gone'), node: NodeName }),
]);

/** A message of the channel of changes. Never throws, whatever the message. */
export function readChange(message: string): { ok: true; value: DirectoryChange } | { ok: false; problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(message);
  } catch {
    return { ok: false, problem: 'no JSON' };
  }
  const parsed = Change.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { ok: false, problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}` };
  }
  const change = parsed.data;
  switch (change.type) {
    case 'published': {
      const { entry, user, epoch, since } = change;
      return { ok: true, value: { type: 'published', entry: { ...entry, epoch, since, ...(user === null ? {} : { user }) } } };
    }
    case 'node':
      return { ok: true, value: { type: 'node', presence: change.presence as unknown as NodePresence } };
    default:
      return { ok: true, value: change };
  }
}

/** A stream's hash in Redis. @throws SyntaxError when Redis holds what no control wrote */
export function readEntry(hash: { user: string; epoch: string; since: string; body: string }): StreamEntry {
  const entry = JSON.parse(hash.body) as Omit<StreamEntry, 'epoch' | 'since' | 'user'>;
  const user = JSON.parse(hash.user) as string | null;
  return { ...entry, epoch: Number(hash.epoch), since: Number(hash.since), ...(user === null ? {} : { user }) };
}
