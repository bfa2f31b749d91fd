import { eventually, type TestNetwork } from '../../../e2e/src/network.ts';
import { pidOfNode } from '../../../e2e/src/node-process.ts';
import type { Page } from 'playwright-core';
import { joinStream, leaveStream, observeViewer, takeFrames } from '../browser-viewer.ts';
import { delay, type Bench, type Figure } from '../figure.ts';
import { TICKS_PER_FRAME } from '../media/clip-sender.ts';
import { accountFrames, type FrameAccount } from '../media/frame-ledger.ts';
import { openPlainViewer, publishClip, type ClipPublisher, type PlainViewer } from '../media/plain-rtp.ts';
import { describePath, isWhole, PUBLISHED_IN, upstreamOf, waitUntilKnown, WATCHED_IN } from '../routes.ts';
import { longestGap, median } from '../statistics.ts';

/** How long a viewer is watched without, and with, a death in the middle. */
const WATCHED_MS = 4_000;
const BEFORE_KILL_MS = 1_000;
const STEADY_MS = 2_000;

interface Watched {
  /** Longest time between two frames that the browser showed. */
  readonly shownGapMs: number;
  /** What a plain RTP viewer of the same node received, by its packets. */
  readonly received: FrameAccount;
  readonly keyframesAsked: number;
  readonly framesDropped: number;
}

interface Kill {
  readonly victim: string;
  readonly quiet: Watched;
  readonly killed: Watched;
  readonly sameSsrc: boolean;
}

/** The gap that a viewer sees when the process of a relay on the path is killed. */
export async function measureReroute(bench: Bench): Promise<Figure> {
  const stream = 'live/reroute';
  const [clip, network, browser] = [await bench.clip(), await bench.network(), await bench.browser()];
  const nodeCount = (await network.topology()).nodes.length;
  const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
  const stopPublisher = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  const plain = await openPlainViewer(await network.place('pull', stream, WATCHED_IN));
  const stopPlain = bench.ending.add(() => plain.stop());
  const page = await browser.newPage();
  await page.bringToFront();
  const { session } = await joinStream(page, () => network.place('pull', stream, WATCHED_IN));
  const path = await describePath(network, await upstreamOf(network, stream));
  const kills: Kill[] = [];
  for (let i = 0; i < bench.config.rerouteTries; i++)
    kills.push(await killOne(bench, network, { page, plain, publisher, stream, nodeCount }));
  await leaveStream(page, session);
  await page.close();
  await stopPlain();
  await stopPublisher();
  return {
    title: 'reroute: kill -9 of a relay on the path while viewers play',
    conditions: [
      `path: ${path}; each try kills the relay of another region than the one before, and the next waits until all nodes and backups are there again`,
      `shown: longest time between two frames that headless Chromium showed (requestVideoFrameCallback), in ${WATCHED_MS / 1000} s around the kill; beside it the same without a kill, just before. At 30 frames/s a frame is 33 ms`,
      'received: at a plain RTP viewer of the same node, by RTP sequence numbers and timestamps: longest time between two whole frames, frames and packets that never came',
      `source: ${clip.description}`,
    ],
    columns: [
      'relay',
      'shown ms',
      'quiet shown ms',
      'received ms',
      'quiet received ms',
      'frames missing',
      'packets missing',
      'keyframes asked',
      'SSRC',
    ],
    rows: [...kills.map(rowOf), medianRow(kills)],
    samples: kills,
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

async function killOne(bench: Bench, network: TestNetwork, watching: Watching): Promise<Kill> {
  await eventually('all nodes and backup routes are there', 60_000, async () =>
    isWhole(await network.topology(), watching.nodeCount) ? true : undefined,
  );
  await delay(STEADY_MS);
  const before = await observeViewer(watching.page);
  const quiet = await watch(watching, async () => undefined);
  // All but the last hop, the origin, are relays.
  const relays = (await upstreamOf(network, watching.stream)).slice(0, -1);
  const victim = relays[turn++ % relays.length]!;
  const killed = await watch(watching, async () => {
    process.kill(pidOfNode(victim), 'SIGKILL');
  });
  const after = await observeViewer(watching.page);
  bench.say(`killed ${victim}: ${Math.round(killed.shownGapMs)} ms without a frame, ${killed.received.missingFrames} missing`);
  return { victim, quiet, killed, sameSsrc: before.ssrc === after.ssrc };
}

async function watch({ page, plain, publisher }: Watching, strike: () => Promise<void>): Promise<Watched> {
  await takeFrames(page);
  plain.take();
  const [asked, { framesDropped }] = [publisher.sender.keyframesAsked, await observeViewer(page)];
  await delay(BEFORE_KILL_MS);
  await strike();
  await delay(WATCHED_MS - BEFORE_KILL_MS);
  const shown = await takeFrames(page);
  return {
    shownGapMs: longestGap(shown.map(({ atMs }) => atMs)),
    received: accountFrames(plain.take(), TICKS_PER_FRAME),
    keyframesAsked: publisher.sender.keyframesAsked - asked,
    framesDropped: (await observeViewer(page)).framesDropped - framesDropped,
  };
}

function rowOf({ victim, quiet, killed, sameSsrc }: Kill): (string | number)[] {
  const { missingFrames, missingPackets, longestGapMs } = killed.received;
  return [
    victim,
    Math.round(killed.shownGapMs),
    Math.round(quiet.shownGapMs),
    Math.round(longestGapMs),
    Math.round(quiet.received.longestGapMs),
    missingFrames,
    missingPackets,
    killed.keyframesAsked,
    sameSsrc ? 'same' : 'changed',
  ];
}

function medianRow(kills: readonly Kill[]): (string | number)[] {
  const of = (value: (kill: Kill) => number) => Math.round(median(kills.map(value)));
  return [
    'median',
    of(({ killed }) => killed.shownGapMs),
    of(({ quiet }) => quiet.shownGapMs),
    of(({ killed }) => killed.received.longestGapMs),
    of(({ quiet }) => quiet.received.longestGapMs),
    of(({ killed }) => killed.received.missingFrames),
    of(({ killed }) => killed.received.missingPackets),
    of(({ killed }) => killed.keyframesAsked),
    kills.every(({ sameSsrc }) => sameSsrc) ? 'same' : 'changed',
  ];
}
