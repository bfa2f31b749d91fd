import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { browserNames, launchBrowser, type Browser, type BrowserName, type Page } from '@millrace/testbed/browser';
import { eventually, startNetwork, type TestNetwork } from '@millrace/testbed/network';
import { playbackUntil, playStream, publishCamera } from './src/browser-media.ts';
import { sdkPlayer, sdkPublisher, sdkUntil } from './src/sdk-page.ts';

const PUBLISHED_IN = 'tokyo';
const WATCHED_IN = 'virginia';

/**
 * Published in Tokyo, carried by relays, watched in Virginia: both browsers with their default ICE settings, by WHIP and WHEP and with the
 * SDK, on `make up` with its defaults.
 */
describe('Chromium and Firefox over the relays', { timeout: 300_000 }, () => {
  let network: TestNetwork;
  const browsers = new Map<BrowserName, Browser>();

  before(async () => {
    network = await startNetwork();
    for (const name of browserNames) browsers.set(name, await launchBrowser({ name, ice: 'default' }));
  });
  after(async () => {
    for (const browser of browsers.values()) await browser.close();
    await network?.stop();
  });

  const watch = async (name: BrowserName, stream: string): Promise<{ page: Page; session: string }> => {
    const { url, token } = await eventually(`${stream} is known`, 10_000, () => network.place('pull', stream, WATCHED_IN));
    const page = await browsers.get(name)!.newPage();
    return { page, session: await playStream(page, { whepUrl: url, token }) };
  };

  for (const name of browserNames) {
    for (const codec of ['VP8', 'VP9', 'AV1']) {
      const viewerNames = name === 'chromium' ? (['firefox'] as const) : browserNames;
      test(`${name} publishes ${codec}; ${viewerNames.join(' and ')} see and hear it`, async () => {
        const stream = `live/${name}-${codec}`;
        const publisher = await browsers.get(name)!.newPage();
        const { url, token } = await network.place('push', stream, PUBLISHED_IN);
        await publishCamera(publisher, { whipUrl: url, token, videoCodec: `video/${codec}` });
        const viewers = await Promise.all(viewerNames.map((viewer) => watch(viewer, stream)));
        for (const { page } of viewers) {
          const seen = await playbackUntil(
            page,
            ({ framesDecoded, audioEnergy }) => framesDecoded >= 20 && audioEnergy > 0,
            30_000,
          );
          await playbackUntil(
            page,
            ({ framesDecoded, motion }) => framesDecoded >= seen.framesDecoded + 20 && motion > 0,
            20_000,
          );
        }
        for (const { page } of viewers) await page.close();
        await publisher.close();
      });
    }
  }

  test('the SDK in Firefox publishes three layers, and the SDK in each browser plays them', async () => {
    const options = { stream: 'live/sdk', placeUrl: new URL('/api/place/push', network.consoleUrl).href };
    const publisher = await sdkPublisher(browsers.get('firefox')!, { ...options, region: PUBLISHED_IN, simulcast: true });
    await eventually('it is known', 10_000, () => network.place('pull', options.stream, WATCHED_IN));
    const placeUrl = new URL('/api/place/pull', network.consoleUrl).href;
    for (const name of browserNames) {
      const player = await sdkPlayer(browsers.get(name)!, { ...options, placeUrl, region: WATCHED_IN });
      const view = await sdkUntil(player, 'it plays', ({ frames, audioEnergy }) => frames >= 40 && audioEnergy > 0, 40_000);
      assert.deepEqual([view.state, view.errors], ['live', []]);
      await player.close();
    }
    await publisher.close();
  });

  test('a viewer of a stream that Firefox publishes in layers gets the layer that it requests', async () => {
    const publisher = await browsers.get('firefox')!.newPage();
    const { url, token } = await network.place('push', 'live/layers', PUBLISHED_IN);
    await publishCamera(publisher, { whipUrl: url, token, videoCodec: 'video/VP8', simulcast: true });
    const { page, session } = await watch('firefox', 'live/layers');
    for (const [spatialLayer, width] of [240, 480].entries()) {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${session}/layers`, { method: 'POST', headers, body: JSON.stringify({ spatialLayer }) });
      assert.equal(answer.status, 200, await answer.text());
      await playbackUntil(page, ({ frameWidth, motion }) => frameWidth === width && motion > 0, 30_000);
    }
    await page.close();
    await publisher.close();
  });

  for (const name of browserNames) {
    test(`the page in ${name} publishes the camera and plays it`, async () => {
      const page = await openPage(name, { stream: 'live/camera', region: WATCHED_IN });
      await page.click('#camera');
      await eventually('it plays', 30_000, async () => {
        const [playedS, ...said] = await page.evaluate(() => [
          document.querySelector('video')!.currentTime,
          ...['screen-note', 'player-note', 'camera-state'].map((id) => document.getElementById(id)!.textContent),
        ]);
        if (Number(playedS) > 1) return true;
        throw new Error(`the page says: ${said.join(' | ')}`);
      });
      await picture(page, `${name}-camera`);
      await page.click('#camera');
      await page.close();
    });
  }

  test('the page in Firefox says that the stream is H.264, what it decodes, and what may help', async (t) => {
    const publisher = await browsers.get('chromium')!.newPage();
    const { url, token } = await network.place('push', 'live/h264', PUBLISHED_IN);
    await publishCamera(publisher, { whipUrl: url, token, videoCodec: 'video/H264' });
    const page = await openPage('firefox', { stream: 'live/h264', region: WATCHED_IN });
    const has = await page.evaluate(() =>
      (RTCRtpReceiver.getCapabilities('video')?.codecs ?? []).some(({ mimeType }) => mimeType === 'video/H264'),
    );
    if (has) return t.skip('this Firefox has its H.264 plugin');
    await page.waitForFunction(() => /H264/.test(document.getElementById('screen-note')?.textContent ?? ''), { timeout: 20_000 });
    const said = await page.$eval('#player-note', (note) => note.textContent);
    assert.match(
      said ?? '',
      /stream's video is H264, which this browser cannot decode\. It can decode VP8, VP9, AV1: publish one/,
    );
    await picture(page, 'firefox-codec');
    await page.close();
    await publisher.close();
  });

  async function openPage(name: BrowserName, query: Record<string, string>): Promise<Page> {
    const page = await browsers.get(name)!.newPage();
    const url = new URL(network.consoleUrl);
    url.search = new URLSearchParams(query).toString();
    await page.goto(url.href);
    return page;
  }
});

/** With MILLRACE_SCREENSHOTS=folder, saves screenshots of a wide and a narrow screen there. */
async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['MILLRACE_SCREENSHOTS'];
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  for (const width of [1360, 390]) {
    await page.setViewport({ width, height: 900 });
    await page.screenshot({ path: join(folder, `${name}-${width}.png`) });
  }
}
