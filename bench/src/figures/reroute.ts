import type { Page } from '@millrace/testbed/browser';
import { eventually, type TestNetwork } from '@millrace/testbed/network';
import { pidOfNode } from '@millrace/testbed/node-process';
import { joinStream, leaveStream, observeViewer, takeFrames } from '../browser-viewer.ts';
import { delay, type Bench, type Figure } from '../figure.ts';
import { TICKS_PER_FRAME } from '@millrace/testkit/media';
import { accountFrames, type FrameTally } from '@millrace/testkit/media';
import { openPlainViewer, publishClip, type ClipPublisher, type PlainViewer } from '@millrace/testkit/media';
import { isAlive } from '../processes/cpu-time.ts';
import { describePath, isWhole, PUBLISHED_IN, upstreamOf, waitUntilKnown, WATCHED_IN } from '../routes.ts';
import { longestGap, median } from '@millrace/testkit';
import { failureLines, tryEach } from '../tries.ts';
import { DEPARTURES, type Departure } from './departures.ts';

const BEFORE_MS = 1_000;
const AFTER_MS = 3_000;
const STEADY_MS = 2_000;
const GONE_WITHIN_MS = 45_000;

interface WatchedStream {
  /** The longest time between two frames that the browser showed, ms. */
  readonly shownGapMs: number;
  /** The frames that a plain RTP viewer of the same node received. */
  readonly received: FrameTally;
  readonly keyframesAsked: number;
  readonly framesDropped: number;
}

interface Try {
  readonly departure: string;
  readonly victim: string;
  readonly quiet: WatchedStream;
  readonly struck: WatchedStream;
  /** The time from the kill or the deletion until the victim's process ended, ms. */
  readonly goneAfterMs: number;
  readonly sameSsrc: boolean;
}

/** Measures the gap that viewers see when a relay on their path is killed or removed as planned. */
export async function measureReroute(bench: Bench): Promise<Figure> {
  const stream = 'live/reroute';
  const [clip, network, browser] = [await bench.clip(), await bench.network(), await bench.browser()];
  const nodeCount = (await network.topology()).nodes.filter(({ connected }) => connected).length;
  const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
  const stopPublisher = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  const plain = await openPlainViewer(await network.place('pull', stream, WATCHED_IN));
  const stopPlain = bench.ending.add(() => plain.stop());
  const page = await browser.newPage();
  await page.bringToFront();
  const { session } = await joinStream(page, () => network.place('pull', stream, WATCHED_IN));
  const path = await describePath(network, await upstreamOf(network, stream), `${WATCHED_IN}-pull`);
  const watching = { page, plain, publisher, stream, nodeCount };
  const tries: Try[] = [];
  const failures: string[] = [];
  for (const departure of DEPARTURES) {
    const count = departure.planned ? bench.config.drainTries : bench.config.rerouteTries;
    const { done, failed } = await tryEach(count, () => strikeOne(bench, network, watching, departure), bench.say);
    tries.push(...done);
    failures.push(...failureLines(departure.name, failed));
  }
  await leaveStream(page, session);
  await page.close();
  await stopPlain();
  await stopPublisher();
  return {
    title: 'reroute: what viewers see when a relay on their path is removed',
    conditions: [
      `path: ${path}; each try takes the relay of another region than the one before, and waits until all nodes and backups are there`,
      ...DEPARTURES.map(({ name, what }) => `${name}: ${what}`),
      'shown: longest time between two frames that headless Chromium showed (requestVideoFrameCallback), from a second before until three seconds after the relay was gone; beside it (quiet) the same viewers just before, nothing touched. At 30 frames/s a frame is 33 ms',
      'received: at a plain RTP viewer of the same node, by RTP sequence numbers and timestamps: longest time between two whole frames, frames and packets that never came',
      'gone after: from the order, or the kill, until the relay had ended',
      `source: ${clip.description}`,
      ...failures,
    ],
    columns: [
      'how',
      'relay',
      'shown ms',
      'quiet shown ms',
      'received ms',
      'quiet received ms',
      'frames missing',
      'packets missing',
      'keyframes asked',
      'SSRC',
      'gone after s',
    ],
    rows: DEPARTURES.flatMap(({ name }) => {
      const own = tries.filter(({ departure }) => departure === name);
      return own.length > 0 ? [...own.map(rowOf), medianRow(name, own)] : [];
    }),
    samples: tries,
  };
}

interface Watching {
  readonly page: Page;
  readonly plain: PlainViewer;
  readonly publisher: ClipPublisher;
  readonly stream: string;
  readonly nodeCount: number;
}

let turn = 0;

async function strikeOne(bench: Bench, network: TestNetwork, watching: Watching, departure: Departure): Promise<Try> {
  const cluster = await bench.cluster();
  const whole = () =>
    eventually('all nodes are connected and all backup routes exist', 60_000, async () =>
      isWhole(await network.topology(), watching.nodeCount) ? true : undefined,
    );
  await whole();
  await delay(STEADY_MS);
  // All hops are relays, except the last one, the origin.
  const relays = (await upstreamOf(network, watching.stream)).slice(0, -1);
  const victim = relays[turn++ % relays.length]!;
  const undo = await departure.prepare(cluster, victim);
  try {
    await whole();
    await delay(STEADY_MS);
    const before = await observeViewer(watching.page);
    const pid = pidOfNode(victim);
    const quiet = await watch(watching, () => delay(departure.planned ? AFTER_MS : 0));
    let goneAfterMs = 0;
    const struck = await watch(watching, async () => {
      const startMs = performance.now();
      await departure.strike(cluster, victim);
      await eventually(`${victim} has ended`, GONE_WITHIN_MS, () => (isAlive(pid) ? undefined : true));
      goneAfterMs = performance.now() - startMs;
    });
    const after = await observeViewer(watching.page);
    bench.say(
      `${departure.name} ${victim}: ${Math.round(struck.shownGapMs)} ms without a frame, ${struck.received.missingFrames} missing`,
    );
    return { departure: departure.name, victim, quiet, struck, goneAfterMs, sameSsrc: before.ssrc === after.ssrc };
  } finally {
    await undo();
  }
}

async function watch({ page, plain, publisher }: Watching, strike: () => Promise<void>): Promise<WatchedStream> {
  await takeFrames(page);
  plain.take();
  const [asked, { framesDropped }] = [publisher.sender.keyframesAsked, await observeViewer(page)];
  await delay(BEFORE_MS);
  await strike();
  await delay(AFTER_MS);
  const shown = await takeFrames(page);
  return {
    shownGapMs: longestGap(shown.map(({ atMs }) => atMs)),
    received: accountFrames(plain.take(), TICKS_PER_FRAME),
    keyframesAsked: publisher.sender.keyframesAsked - asked,
    framesDropped: (await observeViewer(page)).framesDropped - framesDropped,
  };
}

function rowOf({ departure, victim, quiet, struck, goneAfterMs, sameSsrc }: Try): (string | number)[] {
  const { missingFrames, missingPackets, longestGapMs } = struck.received;
  return [
    departure,
    victim,
    Math.round(struck.shownGapMs),
    Math.round(quiet.shownGapMs),
    Math.round(longestGapMs),
    Math.round(quiet.received.longestGapMs),
    missingFrames,
    missingPackets,
    struck.keyframesAsked,
    sameSsrc ? 'same' : 'changed',
    (goneAfterMs / 1000).toFixed(1),
  ];
}

function medianRow(departure: string, tries: readonly Try[]): (string | number)[] {
  const of = (value: (each: Try) => number) => Math.round(median(tries.map(value)));
  return [
    departure,
    'median',
    of(({ struck }) => struck.shownGapMs),
    of(({ quiet }) => quiet.shownGapMs),
    of(({ struck }) => struck.received.longestGapMs),
    of(({ quiet }) => quiet.received.longestGapMs),
    of(({ struck }) => struck.received.missingFrames),
    of(({ struck }) => struck.received.missingPackets),
    of(({ struck }) => struck.keyframesAsked),
    tries.every(({ sameSsrc }) => sameSsrc) ? 'same' : 'changed',
    (median(tries.map(({ goneAfterMs }) => goneAfterMs)) / 1000).toFixed(1),
  ];
}
