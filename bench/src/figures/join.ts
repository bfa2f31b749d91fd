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

/** A region of one node with all roles. It serves publisher and viewer itself; for other regions it is an origin without a relay. */
const ONE_NODE_REGION = 'kyoto';
/** Longer than the ring of a stream (one second), so that it no longer contains the publisher's first keyframe. */
const SETTLE_MS = 2_000;
/** The pause between joins of one stream. Keyframe requests are at least 300 ms apart; the random part varies the phase within a frame. */
const pauseMs = (): number => 700 + Math.random() * 300;

interface JoinCase {
  readonly name: string;
  readonly stream: string;
  readonly publishedIn: string;
  readonly watchedIn: string;
}

interface Joins extends JoinCase {
  /** The edges of the nodes on the path, from the publisher; undefined when no join succeeded. */
  readonly path: readonly string[] | undefined;
  readonly tries: readonly JoinTimes[];
  readonly failed: readonly string[];
}

const REFERENCE: JoinCase = {
  name: 'reference: cold, on the origin node itself',
  stream: 'bench/origin',
  publishedIn: ONE_NODE_REGION,
  watchedIn: ONE_NODE_REGION,
};
const COLD: readonly JoinCase[] = [
  { name: 'cold, 1 relay', stream: 'bench/one', publishedIn: ONE_NODE_REGION, watchedIn: 'frankfurt' },
  { name: 'cold, 2 relays', stream: 'bench/two', publishedIn: PUBLISHED_IN, watchedIn: WATCHED_IN },
  // The StreamRoute of `make up` routes `live/*` over Frankfurt.
  { name: 'cold, 3 relays', stream: 'live/three', publishedIn: PUBLISHED_IN, watchedIn: WATCHED_IN },
];
const WARM: JoinCase = { name: 'already in the region', stream: 'bench/warm', publishedIn: PUBLISHED_IN, watchedIn: WATCHED_IN };

/** Measures the time to the first decoded frame in a browser. */
export async function measureJoin(bench: Bench): Promise<Figure> {
  const { joinTries } = bench.config;
  const cluster = await bench.cluster();
  bench.say(`adding ${ONE_NODE_REGION} …`);
  await cluster.addRegion(ONE_NODE_REGION);
  const results: Joins[] = [];
  for (const joinCase of [REFERENCE, ...COLD]) results.push(await joinCold(bench, joinCase));
  await cluster.removeRegion(ONE_NODE_REGION);
  results.splice(1, 0, await joinWarm(bench, WARM));
  const reference = results[0]!.tries.map(({ decodedMs }) => decodedMs);
  return {
    title: 'join: time to the first decoded frame, ms: median (minimum to maximum)',
    conditions: [
      `WHEP in headless Chromium, video only, a new RTCPeerConnection for each of ${joinTries} tries`,
      'already in the region: another viewer plays on the same node; cold: only the origin carries the stream',
      'reference: publisher and viewer on one node, without relay, trunk and other region: the time of signalling, ICE, DTLS and decoding; over reference: difference of the medians',
      'all since the request: placed (POST to the app backend), WHEP POST answered, ICE and DTLS connected, last packet of the first frame received, that frame decoded and given to the compositor (requestVideoFrameCallback)',
      `source: ${(await bench.clip()).description}`,
      ...results.map(({ name, path }) => `path, ${name}: ${path?.join(' > ') ?? 'unknown'}`),
      ...results.flatMap(({ name, failed }) => failureLines(name, failed)),
    ],
    columns: ['stream', 'relays', ...STEPS.map(([step]) => step), 'over reference', 'failed'],
    rows: results.map(({ name, path, tries, failed }) => [
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
    samples: results,
  };
}

async function joinWarm(bench: Bench, joinCase: JoinCase): Promise<Joins> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const { stream, publishedIn, watchedIn } = joinCase;
  const publisher = await publishClip(await network.place('push', stream, publishedIn), clip);
  const stopPublisher = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  const holder = await openPlainViewer(await network.place('pull', stream, watchedIn));
  const stopHolder = bench.ending.add(() => holder.stop());
  const path = await pathOf(network, joinCase);
  const { done, failed } = await tryEach(
    bench.config.joinTries,
    async () => {
      await delay(pauseMs());
      return joinOnce(bench, network, joinCase, stream);
    },
    bench.say,
  );
  await stopHolder();
  await stopPublisher();
  return { ...joinCase, path, tries: done, failed };
}

async function joinCold(bench: Bench, joinCase: JoinCase): Promise<Joins> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const { publishedIn } = joinCase;
  let path: readonly string[] | undefined;
  const { done, failed } = await tryEach(
    bench.config.joinTries,
    async (i) => {
      const stream = `${joinCase.stream}-${i}`;
      const publisher = await publishClip(await network.place('push', stream, publishedIn), clip);
      const stopPublisher = bench.ending.add(() => publisher.stop());
      try {
        await waitUntilKnown(network, stream);
        await delay(SETTLE_MS + pauseMs());
        return await joinOnce(bench, network, joinCase, stream, async () => {
          path ??= await pathOf(network, { ...joinCase, stream });
        });
      } finally {
        await stopPublisher();
      }
    },
    bench.say,
  );
  return { ...joinCase, path, tries: done, failed };
}

/** Joins once in a new page, so that a failed join does not affect the next one. */
async function joinOnce(
  bench: Bench,
  network: TestNetwork,
  { watchedIn }: JoinCase,
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

async function pathOf(network: TestNetwork, { stream, publishedIn, watchedIn }: JoinCase): Promise<readonly string[]> {
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
