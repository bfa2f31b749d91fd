import type { Page } from 'playwright-core';
import type { TestNetwork } from '../../../e2e/src/network.ts';
import { joinStream, leaveStream, type JoinTimes } from '../browser-viewer.ts';
import { delay, type Bench, type Figure } from '../figure.ts';
import { openPlainViewer, publishClip } from '../media/plain-rtp.ts';
import { describePath, PUBLISHED_IN, upstreamOf, waitUntilKnown, WATCHED_IN } from '../routes.ts';
import { summarize } from '../statistics.ts';

const STEPS: readonly (readonly [name: string, key: keyof JoinTimes])[] = [
  ['placed', 'placedMs'],
  ['POST answered', 'answeredMs'],
  ['connected', 'connectedMs'],
  ['frame received', 'receivedMs'],
  ['frame decoded', 'decodedMs'],
];

/** Longer than what nodes keep of a stream (one second): the keyframe with which a publisher began is no help to a viewer. */
const SETTLE_MS = 2_000;
/** Between joins of one stream: keyframe requests are at least 300 ms apart; the rest is chance, so that tries meet all phases of a frame. */
const pauseMs = (): number => 700 + Math.random() * 300;

interface Joins {
  readonly name: string;
  readonly path: string;
  readonly tries: readonly JoinTimes[];
}

/** Time to the first decoded frame in a browser. */
export async function measureJoin(bench: Bench): Promise<Figure> {
  const clip = await bench.clip();
  const cases = [
    await joinWarm(bench, 'bench/warm'),
    await joinCold(bench, 'cold', 'bench/cold'),
    // The laptop's StreamRoute sends `live/*` over Frankfurt.
    await joinCold(bench, 'cold, over Frankfurt', 'live/cold'),
  ];
  return {
    title: 'join: time to the first decoded frame, ms: median (least to greatest)',
    conditions: [
      `published in ${PUBLISHED_IN}, watched in ${WATCHED_IN} by WHEP in headless Chromium, video only, a new RTCPeerConnection for each of ${bench.config.joinTries} tries`,
      'in the region already: another viewer plays on the same node; cold: a stream that no node but its origin has carried yet',
      'all from the wish on: placed (POST to the app backend), WHEP POST answered, ICE and DTLS connected, last packet of the first frame received, that frame decoded and given to the compositor (requestVideoFrameCallback)',
      `source: ${clip.description}`,
      ...cases.map(({ name, path }) => `path, ${name}: ${path}`),
    ],
    columns: ['stream', ...STEPS.map(([step]) => step)],
    rows: cases.map(({ name, tries }) => [name, ...STEPS.map(([, key]) => spread(tries.map((times) => times[key])))]),
    samples: cases,
  };
}

async function joinWarm(bench: Bench, stream: string): Promise<Joins> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
  const stopPublisher = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  const holder = await openPlainViewer(await network.place('pull', stream, WATCHED_IN));
  const stopHolder = bench.ending.add(() => holder.stop());
  const path = await describePath(network, await upstreamOf(network, stream));
  const page = await newPage(bench);
  const tries: JoinTimes[] = [];
  for (let i = 0; i < bench.config.joinTries; i++) {
    await delay(pauseMs());
    tries.push(await joinOnce(bench, network, page, stream));
  }
  await page.close();
  await stopHolder();
  await stopPublisher();
  return { name: 'in the region already', path, tries };
}

async function joinCold(bench: Bench, name: string, prefix: string): Promise<Joins> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const page = await newPage(bench);
  const tries: JoinTimes[] = [];
  let path = '';
  for (let i = 0; i < bench.config.joinTries; i++) {
    const stream = `${prefix}-${i}`;
    const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
    const stopPublisher = bench.ending.add(() => publisher.stop());
    await waitUntilKnown(network, stream);
    await delay(SETTLE_MS + pauseMs());
    const isLast = i === bench.config.joinTries - 1;
    tries.push(
      await joinOnce(bench, network, page, stream, async () => {
        if (isLast) path = await describePath(network, await upstreamOf(network, stream));
      }),
    );
    await stopPublisher();
  }
  await page.close();
  return { name, path, tries };
}

async function newPage(bench: Bench): Promise<Page> {
  const page = await (await bench.browser()).newPage();
  await page.bringToFront();
  return page;
}

async function joinOnce(
  bench: Bench,
  network: TestNetwork,
  page: Page,
  stream: string,
  whilePlaying: () => Promise<void> = async () => undefined,
): Promise<JoinTimes> {
  const { times, session } = await joinStream(page, () => network.place('pull', stream, WATCHED_IN));
  await whilePlaying();
  await leaveStream(page, session);
  bench.say(`${stream}: ${Math.round(times.decodedMs)} ms`);
  return times;
}

function spread(values: readonly number[]): string {
  const { min, p50, max } = summarize(values);
  return `${Math.round(p50)} (${Math.round(min)} to ${Math.round(max)})`;
}
