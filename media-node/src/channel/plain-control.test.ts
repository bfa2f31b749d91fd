import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainControlWarning } from './index.ts';

test('a node is warned of ws:// beyond loopback, with the remedy', () => {
  for (const host of ['millrace-control:8080', '10.0.0.7', '[2001:db8::1]:80', 'localhost.example'])
    assert.match(plainControlWarning(`ws://${host}/v1/agent`) ?? '', /in clear: let control serve TLS .*wss:/, host);
  for (const url of ['wss://millrace-control:8080', 'ws://127.0.0.1:8080', 'ws://localhost', 'ws://[::1]:80'])
    assert.equal(plainControlWarning(`${url}/v1/agent`), undefined, url);
});
