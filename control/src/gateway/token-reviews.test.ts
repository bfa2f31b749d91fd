import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TokenReview } from '@millrace/kube';
import { FakeClock } from '@millrace/testkit';
import { AGENT_TOKEN_AUDIENCE } from '@millrace/api';
import { TokenReviews } from './token-reviews.ts';

const GOOD: TokenReview['status'] = {
  authenticated: true,
  audiences: ['millrace-control'],
  user: {
    username: 'system:serviceaccount:ns:millrace-media-node',
    extra: { 'authentication.kubernetes.io/pod-uid': ['uid-1'] },
  },
};

function setUp(status: TokenReview['status'] = GOOD) {
  const clock = new FakeClock();
  const state = { asked: 0, away: false, status };
  const review = (): Promise<TokenReview> => {
    state.asked++;
    return state.away ? Promise.reject(new Error('refused')) : Promise.resolve({ spec: {}, status: state.status } as TokenReview);
  };
  return { clock, state, reviews: new TokenReviews({ review, clock, namespace: 'ns' }) };
}

test('a token bound to a pod gives the uid of the pod', async () => {
  assert.deepEqual(await setUp().reviews.check('t'), { verdict: 'pod', podUid: 'uid-1' });
});

const wrong: [string, TokenReview['status']][] = [
  ['is not valid', { authenticated: false }],
  ['is for another audience', { ...GOOD, audiences: ['other'] }],
  ['was reviewed by a server that checks no audiences', { ...GOOD, audiences: undefined }],
  ['is of another namespace', { ...GOOD, user: { ...GOOD.user, username: 'system:serviceaccount:other:x' } }],
  ['is of a person', { ...GOOD, user: { ...GOOD.user, username: 'anna' } }],
  ['is bound to no pod', { ...GOOD, user: { username: GOOD.user!.username! } }],
];
for (const [what, status] of wrong) {
  test(`a token that ${what} is refused`, async () => assert.equal((await setUp(status).reviews.check('t')).verdict, 'refused'));
}

test('claims of strangers cost what their bytes cost, whatever they hold', () => {
  const { reviews } = setUp();
  const claims = (change: object): string =>
    `x.${Buffer.from(JSON.stringify({ aud: AGENT_TOKEN_AUDIENCE, exp: 2 ** 40, 'kubernetes.io': { namespace: 'ns', pod: { uid: 'u' } }, ...change })).toString('base64url')}.y`;
  assert.deepEqual(reviews.claimsOf(claims({})), { podUid: 'u' });
  assert.deepEqual(reviews.claimsOf(claims({ aud: ['other', AGENT_TOKEN_AUDIENCE] })), { podUid: 'u' });
  const bad = [
    { aud: Array(1_000_000).fill(0) },
    { aud: 1 },
    { exp: 'x' },
    { 'kubernetes.io': 1 },
    { 'kubernetes.io': { namespace: 'ns', pod: { uid: '' } } },
  ];
  for (const change of bad) {
    const token = claims(change);
    const from = process.cpuUsage();
    assert.equal(typeof reviews.claimsOf(token), 'string');
    const { user } = process.cpuUsage(from);
    assert.ok(user < 200_000 + token.length, `${user} us of CPU for ${token.length} bytes`);
  }
});

test('a verdict is cached for a minute', async () => {
  const { clock, state, reviews } = setUp();
  await Promise.all([reviews.check('t'), reviews.check('t')]);
  clock.advance(59_000);
  await reviews.check('t');
  assert.equal(state.asked, 1);
  clock.advance(2000);
  state.status = { authenticated: false };
  assert.equal((await reviews.check('t')).verdict, 'refused');
  await reviews.check('u');
  assert.equal(state.asked, 3);
});

test('while the API server is unreachable a known token is accepted for ten minutes, an unknown one is not', async () => {
  const { clock, state, reviews } = setUp();
  await reviews.check('t');
  state.away = true;
  clock.advance(300_000);
  assert.equal((await reviews.check('t')).verdict, 'pod');
  assert.equal((await reviews.check('u')).verdict, 'unknown');
  clock.advance(301_000);
  assert.equal((await reviews.check('t')).verdict, 'unknown');
});

test('what a token says of itself is read without a review, and keeps hopeless ones from the API', () => {
  const { clock, state, reviews } = setUp();
  const nowS = clock.wall() / 1000;
  const claims = {
    aud: ['millrace-control'],
    exp: nowS + 60,
    'kubernetes.io': { namespace: 'ns', pod: { name: 'p', uid: 'uid-1' } },
  };
  const token = (payload: unknown): string => `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.c2ln`;
  assert.deepEqual(reviews.claimsOf(token(claims)), { podUid: 'uid-1' });
  assert.deepEqual(reviews.claimsOf(token({ ...claims, aud: 'millrace-control', exp: nowS - 200 })), { podUid: 'uid-1' });
  for (const [bad, why] of [
    [{ ...claims, aud: ['other'] }, /not for millrace-control/],
    [{ ...claims, exp: nowS - 400 }, /expired/],
    [{ ...claims, 'kubernetes.io': { namespace: 'other', pod: { uid: 'u' } } }, /namespace ns/],
    [{ ...claims, 'kubernetes.io': { namespace: 'ns' } }, /projected into the pod/],
    [null, /projected/],
  ] as const) {
    const refusal = reviews.claimsOf(token(bad));
    assert.ok(typeof refusal === 'string');
    assert.match(refusal, why);
  }
  fc.assert(fc.property(fc.string(), (text) => typeof reviews.claimsOf(text) === 'string'));
  assert.equal(state.asked, 0);
});
