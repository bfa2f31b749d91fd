import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestNode } from './node.fixture.ts';

test('a body that is costly to refuse is refused by its token, or by its size in values, first', async (t) => {
  const node = await startTestNode();
  t.after(() => node.close());
  const post = async (path: string, body: object, token?: string): Promise<{ status: number; text: string }> => {
    const headers = { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const response = await fetch(`${node.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, text: await response.text() };
  };
  const tracks = (values: number): object => ({
    stream: 'live/costly',
    tracks: [{ kind: 'video', parameters: Object.fromEntries(Array.from({ length: values }, (_, n) => [`p${n}`, []])) }],
  });
  for (const act of ['push', 'pull'] as const) {
    const token = await node.token(act, 'live/*');
    const anonymous = await post(`/rtp/${act}`, tracks(1500));
    assert.equal(anonymous.status, 401, anonymous.text);
    const listed = await post(`/rtp/${act}`, tracks(1500), token);
    assert.equal(listed.status, 400);
    assert.ok(listed.text.length < 8000, `an answer of ${listed.text.length} bytes`);
    const tooMany = await post(`/rtp/${act}`, tracks(2500), token);
    assert.equal(tooMany.status, 400);
    assert.match(tooMany.text, /more than 2000 values/);
  }
});
