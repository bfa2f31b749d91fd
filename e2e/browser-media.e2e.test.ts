import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestNode, type TestNode } from '../media-node/src/signaling/node.fixture.ts';
import { launchBrowser, type Browser } from './src/browser.ts';
import { playbackUntil, playStream, publishCamera } from './src/browser-media.ts';

describe('Chromium publishes and plays on one node', { timeout: 240_000 }, () => {
  let node: TestNode;
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
    node = await startTestNode();
  });
  after(async () => {
    await browser?.close();
    await node?.close();
  });

  for (const videoCodec of ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1']) {
    test(`${videoCodec}: frames are decoded, the picture is not black, and there is sound`, async () => {
      const name = `live/${videoCodec.slice(6)}`;
      const publisher = await browser.newPage();
      await publishCamera(publisher, { whipUrl: `${node.url}/whip/${name}`, videoCodec });
      const viewer = await browser.newPage();
      await playStream(viewer, { whepUrl: `${node.url}/whep/${name}` });
      const playing = await playbackUntil(
        viewer,
        (seen) => seen.framesDecoded >= 20 && seen.spread > 50 && seen.audioEnergy > 0,
        30_000,
      );
      await playbackUntil(viewer, (seen) => seen.framesDecoded >= playing.framesDecoded + 20, 30_000);
      await publisher.close();
      await viewer.close();
    });
  }

  test('an offer with audio first is answered as well', async () => {
    const publisher = await browser.newPage();
    await publishCamera(publisher, { whipUrl: `${node.url}/whip/live/order`, videoCodec: 'video/VP8' });
    const viewer = await browser.newPage();
    await playStream(viewer, { whepUrl: `${node.url}/whep/live/order`, sections: ['audio', 'video'] });
    await playbackUntil(viewer, (seen) => seen.framesDecoded >= 20 && seen.audioPackets >= 20);
    await publisher.close();
    await viewer.close();
  });

  test('simulcast: a viewer sees the layer that it asks for', async () => {
    const publisher = await browser.newPage();
    await publishCamera(publisher, { whipUrl: `${node.url}/whip/live/simulcast`, videoCodec: 'video/VP8', simulcast: true });
    const viewer = await browser.newPage();
    const session = await playStream(viewer, { whepUrl: `${node.url}/whep/live/simulcast` });
    await playbackUntil(viewer, (seen) => seen.frameWidth === 960, 40_000);
    await askForLayer(session, { spatialLayer: 0 });
    await playbackUntil(viewer, (seen) => seen.frameWidth === 240, 20_000);
    await askForLayer(session, { spatialLayer: 1 });
    await playbackUntil(viewer, (seen) => seen.frameWidth === 480, 20_000);
    await publisher.close();
    await viewer.close();
  });
});

async function askForLayer(session: string, wish: object): Promise<void> {
  const response = await fetch(`${session}/layers`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wish),
  });
  assert.equal(response.status, 200, await response.text());
}
