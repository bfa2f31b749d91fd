import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretTraces } from './secret-traces.ts';

const traces = (...secrets: (Buffer | string)[]): SecretTraces => {
  const all = new SecretTraces();
  secrets.forEach((value, i) => all.add({ name: `s${i}`, value }));
  return all;
};

test('a secret is found in every form, anywhere in a text', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 48 }),
      fc.string({ maxLength: 20 }),
      fc.constantFrom('base64', 'base64url', 'hex'),
      (bytes, around, form) => {
        const secret = Buffer.from(bytes);
        const text = `${around}${secret.toString(form)}${around}`;
        assert.ok(traces(secret).find('here', text).length > 0, text);
      },
    ),
  );
});

test('a secret is found within a longer text that is base64 as a whole', () => {
  const secret = randomBytes(24).toString('base64url');
  for (let before = 0; before < 6; before++) {
    const file = Buffer.from(`${'x'.repeat(before)}{"key":"${secret}"}`);
    const found = traces(secret).find('here', file.toString('base64'));
    assert.deepEqual(found, [{ secret: 's0', form: 'base64', place: 'here' }], `${before} bytes before`);
  }
});

test('a part of a secret is found, and URL-encoded forms too', () => {
  const secret = 'p&ss/w%rd+with?odd=signs';
  assert.equal(traces(secret).find('here', `..."${secret.slice(5, 18)}"... is not valid JSON`)[0]?.form, 'as it is');
  assert.equal(traces(secret).find('here', `?key=${encodeURIComponent(secret)}`)[0]?.form, 'URL-encoded');
});

test('other text is not found', () => {
  const all = traces(...Array.from({ length: 50 }, () => randomBytes(32)));
  assert.deepEqual(all.find('here', randomBytes(50_000).toString('base64') + randomBytes(50_000).toString('hex')), []);
});

test('a value that is too short to rule out a coincidence is refused', () => {
  assert.throws(() => traces('abc'), /s0 has 3 bytes/);
});
