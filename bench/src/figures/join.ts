import type { Page } from '@millrace/testbed/browser';
import type { TestNetwork } from '@millrace/testbed/network';
import { joinStream, leaveStream, type JoinTimes } from '../browser-viewer.ts';
import { delay, type Bench, type Figure } from '../figure.ts';
import { openPlainViewer, publishClip } from '@millrace/testkit/media';
import { describePath, PUBLISHED_IN, upstreamOf, waitUntilKnown, WATCHED_IN } from '../routes.ts';
import { median, summarize } from '@millrace/testkit';
import { failureLines, tryEach } from '../tries.ts';

const STEPS: readonly (readonly [name: string, key: keyof JoinTimes])[] = [
  ['placed', 'placedMs'],
  ['POST answered', 'answeredMs'],
  ['connected', 'connectedMs'],
  ['frame received', 'receivedMs'],
  ['frame decoded', 'decodedMs'],
];

/** One node with all roles: a publisher and a viewer there meet on it; seen from other regions it is an origin that needs no relay of its own. */
const ONE_NODE_REGION = 'kyoto';
/** Longer than what nodes keep of a stream (one second): the keyframe with which a publisher began is no help to a viewer. */
const SETTLE_MS = 2_000;
/** Between joins of one stream: keyframe requests are at least 300 ms apart; the rest is chance, so that tries meet all phases of a frame. */
const pauseMs = (): number => 700 + Math.random() * 300;

interface JoinWay {
  readonly name: string;
  readonly stream: string;
  readonly publishedIn: string;
  readonly watchedIn: string;
}

interface Joins extends JoinWay {
  /** The nodes' edges, publisher's first; undefined when no try came so far. */
  readonly path: readonly string[] | undefined;
  readonly tries: readonly JoinTimes[];
  readonly failed: readonly string[];
}

const REFERENCE: JoinWay = {
  name: 'reference: cold, on the origin node itself',
  stream: 'bench/origin',
  publishedIn: ONE_NODE_REGION,
  watchedIn: ONE_NODE_REGION,
};
const COLD: readonly JoinWay[] = [
  { name: 'cold, 1 relay', stream: 'bench/one', publishedIn: ONE_NODE_REGION, watchedIn: 'frankfurt' },
  { name: 'cold, 2 relays', stream: 'bench/two', publishedIn: PUBLISHED_IN, watchedIn: WATCHED_IN },
  // The laptop's StreamRoute sends `live/*` over Frankfurt.
  { name: 'cold, 3 relays', stream: 'live/three', publishedIn: PUBLISHED_IN, watchedIn: WATCHED_IN },
];
const WARM: JoinWay = { name: 'in the region already', stream: 'bench/warm', publishedIn: PUBLISHED_IN, watchedIn: WATCHED_IN };

/** Time to the first decoded frame in a browser. */
export async function measureJoin(bench: Bench): Promise<Figure> {
  const { joinTries } = bench.config;
  const cluster = await bench.cluster();
  bench.say(`adding ${ONE_NODE_REGION} …`);
  await cluster.addRegion(ONE_NODE_REGION);
  const ways: Joins[] = [];
  for (const way of [REFERENCE, ...COLD]) ways.push(await joinCold(bench, way));
  await cluster.removeRegion(ONE_NODE_REGION);
  ways.splice(1, 0, await joinWarm(bench, WARM));
  const reference = ways[0]!.tries.map(({ decodedMs }) => decodedMs);
  return {
    title: 'join: time to the first decoded frame, ms: median (least to greatest)',
    conditions: [
      `WHEP in headless Chromium, video only, a new RTCPeerConnection for each of ${joinTries} tries`,
      'in the region already: another viewer plays on the same node; cold: a stream that no node but its origin has carried yet',
      'reference: publisher and viewer on one node, so no relay, no trunk and no other region: what signalling, ICE, DTLS and decoding take anyway; over reference: difference of the medians',
      'all from the wish on: placed (POST to the app backend), WHEP POST answered, ICE and DTLS connected, last packet of the first frame received, that frame decoded and given to the compositor (requestVideoFrameCallback)',
      `source: ${(await bench.clip()).description}`,
      ...ways.map(({ name, path }) => `path, ${name}: ${path?.join(' > ') ?? 'unknown'}`),
      ...ways.flatMap(({ name, failed }) => failureLines(name, failed)),
    ],
    columns: ['stream', 'relays', ...STEPS.map(([step]) => step), 'over reference', 'failed'],
    rows: ways.map(({ name, path, tries, failed }) => [
      name,
      path ? String(Math.max(0, path.length - 2)) : '?',
      ...STEPS.map(([, key]) => spread(tries.map((times) => times[key]))),
      name === REFERENCE.name
        ? '-'
        : overReference(
            tries.map(({ decodedMs }) => decodedMs),
            reference,
          ),
      `${failed.length} of ${failed.length + tries.length}`,
    ]),
    samples: ways,
  };
}

async function joinWarm(bench: Bench, way: JoinWay): Promise<Joins> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const { stream, publishedIn, watchedIn } = way;
  const publisher = await publishClip(await network.place('push', stream, publishedIn), clip);
  const stopPublisher = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  const holder = await openPlainViewer(await network.place('pull', stream, watchedIn));
  const stopHolder = bench.ending.add(() => holder.stop());
  const path = await pathOf(network, way);
  const { done, failed } = await tryEach(
    bench.config.joinTries,
    async () => {
      await delay(pauseMs());
      return joinOnce(bench, network, way, stream);
    },
    bench.say,
  );
  await stopHolder();
  await stopPublisher();
  return { ...way, path, tries: done, failed };
}

async function joinCold(bench: Bench, way: JoinWay): Promise<Joins> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const { publishedIn } = way;
  let path: readonly string[] | undefined;
  const { done, failed } = await tryEach(
    bench.config.joinTries,
    async (i) => {
      const stream = `${way.stream}-${i}`;
      const publisher = await publishClip(await network.place('push', stream, publishedIn), clip);
      const stopPublisher = bench.ending.add(() => publisher.stop());
      try {
        await waitUntilKnown(network, stream);
        await delay(SETTLE_MS + pauseMs());
        return await joinOnce(bench, network, way, stream, async () => {
          path ??= await pathOf(network, { ...way, stream });
        });
      } finally {
        await stopPublisher();
      }
    },
    bench.say,
  );
  return { ...way, path, tries: done, failed };
}

/** One join in a page of its own, so that a try that failed leaves nothing to the next. */
async function joinOnce(
  bench: Bench,
  network: TestNetwork,
  { watchedIn }: JoinWay,
  stream: string,
  whilePlaying: () => Promise<void> = async () => undefined,
): Promise<JoinTimes> {
  const page: Page = await (await bench.browser()).newPage();
  try {
    await page.bringToFront();
    const { times, session } = await joinStream(page, () => network.place('pull', stream, watchedIn));
    await whilePlaying();
    await leaveStream(page, session);
    bench.say(`${stream}: ${Math.round(times.decodedMs)} ms`);
    return times;
  } finally {
    await page.close();
  }
}

async function pathOf(network: TestNetwork, { stream, publishedIn, watchedIn }: JoinWay): Promise<readonly string[]> {
  if (publishedIn === watchedIn) return [publishedIn];
  const hops = await upstreamOf(network, stream, watchedIn);
  return (await describePath(network, hops, `${watchedIn}-pull`)).split(' > ');
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return '-';
  const { min, p50, max } = summarize(values);
  return `${Math.round(p50)} (${Math.round(min)} to ${Math.round(max)})`;
}

function overReference(values: readonly number[], reference: readonly number[]): string {
  if (values.length === 0 || reference.length === 0) return '-';
  return String(Math.round(median(values) - median(reference)));
}
