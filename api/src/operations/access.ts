/**
 * Who may call what. One column for each kind of caller: somebody who holds just that secret, and shows it where the operation takes one.
 * docs/security.md shows the whole table, and a test tries every cell of it on running servers.
 */
export const CALLERS = {
  nobody: 'nothing at all',
  wrongKey: 'a made-up key',
  appKey: "an app's key (Secret millrace-app-keys)",
  pushToken: 'a media token to push this stream',
  pullToken: 'a media token to pull this stream',
  otherStream: 'a media token of the right kind for another stream',
  expired: 'a media token of the right kind that has expired',
  foreignToken: 'a media token of the right kind signed by a key that is not of this network',
  session: "the session: its URL or id, and what the session's answer said",
  nodeToken: "the node's own service-account token for control",
  otherNode: "another pod's service-account token for control",
  meshKey: "the mesh's trunk key",
  foreignMesh: "another mesh's trunk key",
  operator: "the operator's Kubernetes service account",
  control: "control's Kubernetes service account",
} as const;
export type Caller = keyof typeof CALLERS;
export const callers = Object.keys(CALLERS) as Caller[];

/**
 * `yes`: let in, which is any answer but 401, 403 and, of a session, 404. A number: refused with exactly that HTTP status, or WebSocket
 * close code from 4000 on. `silence`: no answer to any datagram.
 */
export type Verdict = 'yes' | 'silence' | number;

export type AccessRule = keyof typeof RULES;

interface Rule {
  readonly meaning: string;
  readonly otherwise: Verdict;
  readonly cells?: Partial<Record<Caller, Verdict>>;
}

const media = (own: Caller, other: Caller): Rule['cells'] => ({ [own]: 'yes', [other]: 403, otherStream: 403 });

const RULES = {
  open: { meaning: 'anyone who reaches the listener', otherwise: 'yes' },
  privateNetwork: { meaning: 'anyone on a private network (setting metricsFrom)', otherwise: 'yes' },
  elsewhere: { meaning: 'the same from any other address: nobody', otherwise: 403 },
  app: { meaning: 'apps', otherwise: 401, cells: { appKey: 'yes' } },
  push: {
    meaning: 'holders of a push token for the stream; anyone where its StreamRoute says access.publish: Public',
    otherwise: 401,
    cells: media('pushToken', 'pullToken'),
  },
  pull: {
    meaning: 'holders of a pull token for the stream; anyone where its StreamRoute says access.play: Public',
    otherwise: 401,
    cells: media('pullToken', 'pushToken'),
  },
  rtpPush: {
    meaning: 'holders of a push token for the stream, whatever its StreamRoute says',
    otherwise: 401,
    cells: media('pushToken', 'pullToken'),
  },
  rtpPull: {
    meaning: 'holders of a pull token for the stream, whatever its StreamRoute says',
    otherwise: 401,
    cells: media('pullToken', 'pushToken'),
  },
  session: { meaning: "whoever knows the session's unguessable id", otherwise: 404, cells: { session: 'yes' } },
  agent: { meaning: "the node's own pod", otherwise: 401, cells: { nodeToken: 'yes', otherNode: 4403 } },
  trunk: {
    meaning: "holders of the mesh's key whom control has certified, which takes both: no single secret is enough",
    otherwise: 'silence',
  },
  media: { meaning: "whoever has the keys that the session's answer told", otherwise: 'silence', cells: { session: 'yes' } },
  kubernetes: { meaning: 'service accounts, by the roles in deploy/rbac', otherwise: 401 },
} as const satisfies Record<string, Rule>;

export function verdictOf(rule: AccessRule, caller: Caller): Verdict {
  const { otherwise, cells = {} }: Rule = RULES[rule];
  return cells[caller] ?? otherwise;
}

export function meaningOf(rule: AccessRule): string {
  return RULES[rule].meaning;
}
