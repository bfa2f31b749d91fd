import { delay, type Bench } from '../../figure.ts';
import { joinStream, leaveStream, observeViewer } from '../../browser-viewer.ts';
import { openPlainViewer, publishClip } from '@millrace/testkit/media';
import { PUBLISHED_IN, waitUntilKnown, WATCHED_IN } from '../../routes.ts';
import type { TestNetwork } from '@millrace/testbed/network';
import { addAccount, emptyAccount, type Account } from './arrivals.ts';
import { openWhepViewer, type WebRtcViewer } from './webrtc-peers.ts';

const WEBRTC_STAYS_MS = 20_000;
const BROWSER_STAYS_MS = 45_000;
const STREAM_LASTS_MS = 4_000;
const BETWEEN_STREAMS_MS = 1_000;
const CONSOLE_STAYS_MS = 7_000;

/** The results of all clients that are not plain viewers. */
export interface CrowdReport {
  readonly webrtc: { joined: number; failed: number; account: Account };
  readonly browser: { joined: number; failed: number; framesDecoded: number; freezes: number };
  /** Short streams with unique names, each with a viewer. */
  readonly passingStreams: { ended: number; failed: number };
  readonly consolePages: number;
  readonly errors: Record<string, number>;
}

/**
 * Runs all clients besides the plain viewers until the signal aborts: WebRTC viewers that join and leave, a browser, streams that last for
 * seconds, and a console page that is opened and closed.
 */
export async function runCrowd(
  bench: Bench,
  network: TestNetwork,
  streams: readonly string[],
  webrtcViewers: number,
  signal: AbortSignal,
): Promise<CrowdReport> {
  const report: CrowdReport = {
    webrtc: { joined: 0, failed: 0, account: emptyAccount() },
    browser: { joined: 0, failed: 0, framesDecoded: 0, freezes: 0 },
    passingStreams: { ended: 0, failed: 0 },
    consolePages: 0,
    errors: {},
  };
  /** Repeats `turn`; failures are counted and retried. */
  const repeat = async (what: string, turn: (n: number) => Promise<void>, onFailed: () => unknown): Promise<void> => {
    for (let n = 0; !signal.aborted; n++) {
      await turn(n).catch(async (error: unknown) => {
        onFailed();
        const why = `${what}: ${error instanceof Error ? error.message : String(error)}`.slice(0, 300);
        report.errors[why] = (report.errors[why] ?? 0) + 1;
        await delay(1_000);
      });
    }
  };
  const pause = (ms: number) => until(signal, ms);
  const watchByWebRtc = async (viewer: number, turn: number): Promise<void> => {
    const place = await network.place('pull', streams[(viewer + turn) % streams.length]!, WATCHED_IN);
    const joined: WebRtcViewer = await openWhepViewer(place);
    report.webrtc.joined += 1;
    // Spreads the viewers over time.
    await pause(WEBRTC_STAYS_MS * (turn === 0 ? (viewer + 1) / webrtcViewers : 1));
    addAccount(report.webrtc.account, joined.account());
    await joined.stop();
  };
  const watchInBrowser = async (turn: number): Promise<void> => {
    const page = await (await bench.browser()).newPage();
    try {
      const { session } = await joinStream(page, () => network.place('pull', streams[turn % streams.length]!, WATCHED_IN));
      report.browser.joined += 1;
      await pause(BROWSER_STAYS_MS);
      const { framesDecoded, freezes } = await observeViewer(page);
      report.browser.framesDecoded += framesDecoded;
      report.browser.freezes += freezes;
      await leaveStream(page, session);
    } finally {
      await page.close();
    }
  };
  const clip = await bench.clip();
  const passStream = async (turn: number): Promise<void> => {
    const stream = `load/passing-${turn}`;
    const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
    try {
      await waitUntilKnown(network, stream);
      const viewer = await openPlainViewer(await network.place('pull', stream, WATCHED_IN));
      await pause(STREAM_LASTS_MS);
      const got = viewer.take().length;
      await viewer.stop();
      if (got === 0) throw new Error('a short stream reached no viewer');
      report.passingStreams.ended += 1;
    } finally {
      await publisher.stop();
    }
    await pause(BETWEEN_STREAMS_MS);
  };
  const openConsole = async (): Promise<void> => {
    const closed = AbortSignal.any([signal, AbortSignal.timeout(CONSOLE_STAYS_MS)]);
    Object.assign(report, { consolePages: report.consolePages + 1 });
    const response = await fetch(new URL('/api/topology/events', network.consoleUrl), { signal: closed });
    try {
      for await (const chunk of response.body!) void chunk;
    } catch (error) {
      if (!closed.aborted) throw error;
    }
  };
  await Promise.all([
    ...Array.from({ length: webrtcViewers }, (_, viewer) =>
      repeat(
        'WebRTC viewer',
        (turn) => watchByWebRtc(viewer, turn),
        () => (report.webrtc.failed += 1),
      ),
    ),
    repeat('browser', watchInBrowser, () => (report.browser.failed += 1)),
    repeat('passing stream', passStream, () => (report.passingStreams.failed += 1)),
    repeat('console', openConsole, () => undefined),
  ]);
  return report;
}

function until(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
