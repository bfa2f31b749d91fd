import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startPublicNode, type PublicNode } from '@millrace/testbed';
import { browserNames, launchBrowser, type Browser, type BrowserName } from '@millrace/testbed/browser';
import { playbackUntil, playStream, publishCamera } from './src/browser-media.ts';
import { ownAddress } from '@millrace/testbed/own-address';

/** Firefox downloads its H.264 codec as a plugin, which may not be possible on a test machine. */
const CODECS: Record<BrowserName, readonly string[]> = {
  chromium: ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1'],
  firefox: ['video/VP8', 'video/VP9', 'video/AV1'],
};

for (const name of browserNames) describe(`${name} publishes and plays on one node`, { timeout: 240_000 }, () => oneNode(name));

function oneNode(name: BrowserName): void {
  let node: PublicNode;
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser({ name });
    node = await startPublicNode({ hostIp: ownAddress() });
  });
  after(async () => {
    await browser?.close();
    await node?.close();
  });

  for (const videoCodec of CODECS[name]) {
    test(`${videoCodec}: frames are decoded, the picture moves, and there is sound`, async () => {
      const stream = `live/${videoCodec.slice(6)}`;
      const publisher = await browser.newPage();
      await publishCamera(publisher, { whipUrl: `${node.url}/whip/${stream}`, videoCodec });
      const viewer = await browser.newPage();
      await playStream(viewer, { whepUrl: `${node.url}/whep/${stream}` });
      const playing = await playbackUntil(
        viewer,
        (seen) => seen.framesDecoded >= 20 && seen.motion > 0 && seen.audioEnergy > 0,
        30_000,
      );
      await playbackUntil(viewer, (seen) => seen.framesDecoded >= playing.framesDecoded + 20 && seen.motion > 0, 30_000);
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

  for (const videoCodec of ['video/VP9', 'video/AV1']) {
    test(`simulcast of ${videoCodec}, which no media worker forwards: the best layer is sent alone`, async () => {
      const stream = `live/simulcast-${videoCodec.slice(6)}`;
      const publisher = await browser.newPage();
      await publishCamera(publisher, { whipUrl: `${node.url}/whip/${stream}`, videoCodec, simulcast: true });
      const viewer = await browser.newPage();
      await playStream(viewer, { whepUrl: `${node.url}/whep/${stream}` });
      await playbackUntil(viewer, (seen) => seen.frameWidth > 480 && seen.framesDecoded >= 20, 40_000);
      await publisher.close();
      await viewer.close();
    });
  }
}

async function askForLayer(session: string, preference: object): Promise<void> {
  const response = await fetch(`${session}/layers`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(preference),
  });
  assert.equal(response.status, 200, await response.text());
}
