import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import type { NodePresence } from '../directory/index.ts';
import { RegionRtts } from './region-rtts.ts';

const regionOf = (node: string): string => node.split('-')[0]!;

function says(node: string, links: Record<string, number>): NodePresence {
  const reported = Object.entries(links).map(([peer, rttMs]) => ({ peer, rttMs, state: 'Up' }));
  return { node, report: { links: reported } } as unknown as NodePresence;
}
const between = (...presences: NodePresence[]): number | undefined =>
  new RegionRtts(new FakeClock()).between('eu', 'us', presences, regionOf);

test('the RTT between two regions is that of their shortest link, by the end that says more', () => {
  assert.equal(between(says('eu-1', { 'us-1': 90 }), says('us-1', { 'eu-1': 92 })), 92);
  const shorter = [says('eu-1', { 'us-1': 90, 'us-2': 80 }), says('us-1', { 'eu-1': 92 }), says('us-2', { 'eu-1': 80 })];
  assert.equal(between(...shorter), 80);
});

test('one node alone brings no regions together: neither by a false RTT nor by a link that its peer does not know', () => {
  const honest = [says('eu-1', { 'us-1': 90, 'us-evil': 95 }), says('us-1', { 'eu-1': 90 })];
  assert.equal(between(...honest, says('us-evil', { 'eu-1': 0, 'eu-2': 0 })), 90);
});
