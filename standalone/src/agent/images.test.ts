import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localImages } from './images.ts';

test('an image is identified by its repository, whatever its registry, tag and digest', () => {
  const { commandFor, images } = localImages({ 'millrace/media-node': ['node', 'main.ts'] });
  assert.deepEqual(images, ['millrace/media-node']);
  const digest = `sha256:${'0'.repeat(64)}`;
  for (const known of [
    'millrace/media-node',
    'millrace/media-node:1.2',
    `registry.example:5000/x/millrace/media-node:1@${digest}`,
  ])
    assert.deepEqual(commandFor(known), ['node', 'main.ts'], known);
  for (const unknown of [
    'nginx',
    'media-node',
    'evil-millrace/media-node',
    'millrace/media-node-debug',
    'millrace/media-node/x',
    '',
  ])
    assert.equal(commandFor(unknown), undefined, unknown);
});
