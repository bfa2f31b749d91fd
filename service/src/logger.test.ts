import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from './logger.ts';

function logged(write: (logger: ReturnType<typeof createLogger>) => void): { line: string; json: Record<string, unknown> } {
  let line = '';
  write(createLogger({ service: 'probe', level: 'debug', bindings: { node: 'n1' } }, { write: (text) => void (line += text) }));
  return { line, json: JSON.parse(line) as Record<string, unknown> };
}

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';

test('a line is JSON with service, level by name, ISO time and the bindings', () => {
  const { json } = logged((logger) => logger.child({ stream: 'live/a' }).info({ rttMs: 3 }, 'joined'));
  assert.deepEqual(
    { ...json, time: 0, pid: 0 },
    { level: 'info', time: 0, service: 'probe', pid: 0, node: 'n1', stream: 'live/a', rttMs: 3, msg: 'joined' },
  );
  assert.match(String(json['time']), /^\d{4}-\d\d-\d\dT/);
});

const leaks: [string, Record<string, unknown>][] = [
  ['a token', { token: 'leak' }],
  ['a header at depth', { req: { headers: { authorization: 'Basic leak', a: 1 } } }],
  ['camel case', { accessToken: 'leak', srtpKey: 'leak', clientSecret: 'leak' }],
  ['quotes inside the value', { password: 'a"leak\\' }],
  ['bytes', { key: Buffer.from('leak') }],
  ['an object', { secret: { value: 'leak' } }],
  ['a list', { key: ['leak'] }],
  ['a child binding', { privateKey: 'leak' }],
];
for (const [what, fields] of leaks) {
  test(`a credential is redacted: ${what}`, () => {
    const { line } = logged((logger) => logger.child(fields).warn(fields, 'seen'));
    assert.doesNotMatch(line, /leak|108,101,97,107/);
    assert.match(line, /\[redacted\]/);
  });
}

test('a credential in the text is redacted: JWT, Authorization value, query string', () => {
  const { line } = logged((logger) => logger.info(`got ${jwt} as Bearer abc.def from /whep/live/a?token=abcdef&x=1`));
  assert.match(line, /got \[redacted\] as Bearer \[redacted\] from \/whep\/live\/a\?token=\[redacted\]&x=1/);
});

test('a session id is shortened to its beginning, in fields and in paths', () => {
  const { line, json } = logged((logger) =>
    logger.info({ session: 'Kq3vXcRt7bN0aLmW9yZs1g', path: '/whep/sessions/tokyo-1~Kq3vXcRt7bN0aLmW9yZs1g/events' }, 'moved'),
  );
  assert.deepEqual([json['session'], json['path']], ['Kq3vXc…', '/whep/sessions/tokyo-1~Kq3vXc…/events']);
  assert.doesNotMatch(line, /Rt7bN0/);
});

test('an error keeps its message and stack, without the credential in it', () => {
  const { json } = logged((logger) => logger.error({ err: new Error(`refused ${jwt}`) }, 'failed'));
  const err = json['err'] as { message: string; stack: string };
  assert.equal(err.message, 'refused [redacted]');
  assert.match(err.stack, /logger\.test\.ts/);
});

test('a work item is not redacted as a credential', () => {
  const { json } = logged((logger) => logger.info({ item: 'ns/edge', monkey: 'a', keyframes: 3 }, 'reconciled'));
  assert.deepEqual([json['item'], json['monkey'], json['keyframes']], ['ns/edge', 'a', 3]);
});

test('a long string is cut before it is looked at, and the line stays JSON', () => {
  const { line, json } = logged((logger) => logger.info({ type: `${'"\\\u0001'.repeat(1 << 18)}${jwt}` }, 'x'.repeat(1 << 20)));
  assert.ok(line.length < 6000, `${line.length} characters`);
  assert.match(String(json['type']), /…$/);
  assert.match(String(json['msg']), /^x{2048}…$/);
});

test('whatever is logged, the time for it is linear', () => {
  const hostile = ['eyJ-', 'eyJa.', '&token=', '/sessions/a~', '"aKey":', '\\"key":[', 'Bearer ', '"session":"', '{"secret":{'];
  for (const part of hostile) {
    const nanoseconds = (length: number): number => {
      const fields = { list: Array.from({ length: length / 2000 }, () => part.repeat(2000 / part.length)) };
      const before = process.hrtime.bigint();
      logged((logger) => logger.info(fields, 'hostile'));
      return Number(process.hrtime.bigint() - before);
    };
    nanoseconds(100_000);
    const [short, long] = [100_000, 1_000_000].map((length) => Math.min(...[1, 2, 3].map(() => nanoseconds(length))));
    assert.ok(long! < 40 * short!, `${part}: ${short} ns for 100 kB, ${long} ns for 1 MB`);
  }
});

test('an error is logged without what its library worked on', () => {
  const err = Object.assign(new Error('WRONGPASS'), {
    code: 'X',
    command: { name: 'auth', args: ['default', 'leak'] },
    input: 'leak',
  });
  const { line, json } = logged((logger) => logger.warn({ err: new AggregateError([err], 'both', { cause: err }) }, 'redis'));
  assert.doesNotMatch(line, /leak/);
  const described = json['err'] as { cause: { code: string; stack: string }; errors: { message: string }[] };
  assert.deepEqual([described.cause.code, described.errors[0]!.message], ['X', 'WRONGPASS']);
});
