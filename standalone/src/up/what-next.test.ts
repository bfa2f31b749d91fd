import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whatNext } from './what-next.ts';

const use = { consoleUrl: 'http://127.0.0.1:7000', controlUrl: 'http://127.0.0.1:7080', kubeconfig: '/k' };
const edge = (name: string, region: string, ...roles: string[]) => ({ name, region, roles });

test('with the laptop’s manifest the closing lines are those of the README’s walkthrough', () => {
  const edges = [
    edge('tokyo-push', 'tokyo', 'push'),
    edge('frankfurt-relay', 'frankfurt', 'relay'),
    edge('virginia-pull', 'virginia', 'pull'),
  ];
  const lines = whatNext({ ...use, edges });
  assert.match(lines, /scale mediaedge virginia-pull/);
  assert.doesNotMatch(lines, /password|Edges/);
});

test('with another manifest they name its edges, and how to publish and play there', () => {
  const lines = whatNext({ ...use, edges: [edge('one', 'here', 'push', 'pull', 'relay')] });
  assert.match(lines, /Edges {6}one in here \(push, pull, relay\)/);
  assert.match(lines, /Publish .*"stream": "live\/mine".* http:\/\/127\.0\.0\.1:7080\/v1\/push/);
  assert.match(lines, /Play .* http:\/\/127\.0\.0\.1:7080\/v1\/pull/);
  assert.doesNotMatch(lines, /virginia|world|streamroute live/);
});

test('when no edge can take publishers, they say so with the remedy', () => {
  assert.match(whatNext({ ...use, edges: [edge('one', 'here', 'pull')] }), /Publish {4}no edge has the push role: add it/);
});

test('beyond this machine they say how to log in, and that a camera needs https', () => {
  for (const consoleUrl of ['http://192.0.2.7:7000', 'http://[2001:db8::7]:7000'])
    assert.match(whatNext({ ...use, consoleUrl, edges: [] }), /password is the app key[\s\S]*camera only over https/);
});
