import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Authority, ControlTlsObservation, ControlTlsPlan, Observed, ServingFacts } from './model.ts';
import { planControlTls } from './plan.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.parse('2026-01-01T00:00:00Z');

const authority = (pem: string, agedDays: number): Authority => ({
  pem,
  fromMs: NOW - agedDays * DAY - HOUR,
  endsMs: NOW + (3650 - agedDays) * DAY,
});
const usable = <T>(value: T): Observed<T> => ({ state: 'usable', value });
const serving = (agedDays: number, more: Partial<ServingFacts> = {}): Observed<ServingFacts> =>
  usable({
    fromMs: NOW - agedDays * DAY - HOUR,
    endsMs: NOW + (90 - agedDays) * DAY,
    missingNames: [],
    signedBy: 'current',
    ...more,
  });

const steady: ControlTlsObservation = {
  nowMs: NOW,
  names: ['millrace-control'],
  authority: usable({ current: authority('A', 10), earlier: [] }),
  serving: serving(10),
  published: usable('A'),
};

/** A plan in one line. */
function told(plan: ControlTlsPlan): string {
  const days = ({ fromMs, toMs }: { fromMs: number; toMs: number }): string =>
    `from ${(fromMs - NOW) / HOUR} h, ${Math.round((toMs - NOW) / DAY)} d`;
  return [
    plan.createAuthority ? `authority ${days(plan.createAuthority)}: ${plan.createAuthority.why}` : '',
    plan.earlier.length > 0 ? `trust ${plan.earlier.join('+')} too` : '',
    plan.forgetEnded ? 'forget what ended' : '',
    plan.issue ? `issue ${days(plan.issue)}: ${plan.issue.why}` : '',
    plan.foreign.length > 0 ? `foreign ${plan.foreign.join(', ')}` : '',
  ]
    .filter(Boolean)
    .join('; ');
}

const cases: [string, Partial<ControlTlsObservation>, string][] = [
  ['nothing changes while both are young', {}, ''],
  [
    'a new fleet gets an authority and a certificate at once',
    { authority: { state: 'missing' }, serving: { state: 'missing' }, published: { state: 'missing' } },
    'authority from -1 h, 3650 d: there is none; issue from -1 h, 90 d: there is none',
  ],
  ['a certificate is renewed at two thirds of its life, not before', { serving: serving(59.9) }, ''],
  ['… and then it is', { serving: serving(60.1) }, 'issue from -1 h, 90 d: two thirds of its life are over'],
  ['one that ended is renewed', { serving: serving(95) }, 'issue from -1 h, 90 d: two thirds of its life are over'],
  ['one that was deleted is issued again', { serving: { state: 'missing' } }, 'issue from -1 h, 90 d: there is none'],
  [
    'one that is damaged too',
    { serving: { state: 'unusable', why: 'tls.key is not the key' } },
    'issue from -1 h, 90 d: tls.key is not the key',
  ],
  [
    'one that is not for a name of the URL is issued for it, also in the first day of the authority',
    {
      serving: serving(0.1, { missingNames: ['control.example.com'] }),
      authority: usable({ current: authority('A', 0.1), earlier: [] }),
    },
    'issue from -1 h, 90 d: it is not for control.example.com',
  ],
  [
    'an authority is replaced at two thirds of its life; nodes trust the old one too, and the certificate stays',
    { authority: usable({ current: authority('A', 2434), earlier: [] }), serving: serving(10) },
    'authority from -1 h, 3650 d: two thirds of its life are over; trust A too',
  ],
  [
    'control shows no certificate of a new authority before nodes had a day to read it',
    {
      authority: usable({ current: authority('B', 0.5), earlier: [authority('A', 2434)] }),
      serving: serving(61, { signedBy: 'earlier' }),
    },
    'trust A too',
  ],
  [
    '… and does after that',
    {
      authority: usable({ current: authority('B', 1.1), earlier: [authority('A', 2435)] }),
      serving: serving(61, { signedBy: 'earlier' }),
    },
    'trust A too; issue from -1 h, 90 d: two thirds of its life are over',
  ],
  [
    '… or when its certificate would end meanwhile',
    {
      authority: usable({ current: authority('B', 0.5), earlier: [authority('A', 2434)] }),
      serving: serving(89, { signedBy: 'earlier' }),
    },
    'trust A too; issue from -1 h, 90 d: two thirds of its life are over',
  ],
  [
    'an authority that was deleted is replaced with its certificate: so its key is withdrawn',
    { authority: { state: 'missing' }, serving: serving(10, { signedBy: 'none' }) },
    'authority from -1 h, 3650 d: there is none; issue from -1 h, 90 d: no authority that nodes trust signed it',
  ],
  [
    'an authority that has ended is trusted no more',
    { authority: usable({ current: authority('B', 1300), earlier: [authority('A', 3651)] }) },
    'forget what ended',
  ],
  [
    'a certificate never outlives its authority',
    {
      authority: usable({ current: { ...authority('A', 0), fromMs: NOW - 30 * DAY, endsMs: NOW + 70 * DAY }, earlier: [] }),
      serving: { state: 'missing' },
    },
    'issue from -1 h, 70 d: there is none',
  ],
  ['what somebody else made is left alone', { serving: { state: 'foreign' } }, 'foreign Secret millrace-control-tls'],
  [
    '… with all that belongs to it',
    { authority: { state: 'missing' }, published: { state: 'foreign' }, serving: { state: 'missing' } },
    'foreign ConfigMap millrace-control-ca',
  ],
];

describe("what the operator does with control's certificate", () => {
  for (const [about, changed, expected] of cases)
    test(about, () => assert.equal(told(planControlTls({ ...steady, ...changed })), expected));
});
