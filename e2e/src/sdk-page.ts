import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';
import type * as sdk from '@millrace/sdk';
import type { Browser, Page } from '@millrace/testbed/browser';

/** The events of a session as the page recorded them from its SDK object, with times of the page's clock. */
interface SessionLog {
  states: string[];
  places: string[];
  moves: string[];
  errors: string[];
  /** The stream events that the node sent: paused, resumed, ended. */
  told: string[];
}

export interface SdkWindow {
  millrace: typeof sdk;
  player: sdk.Player;
  publisher: sdk.Publisher;
  log: SessionLog;
  /** performance.now() of each frame that the video element showed. */
  shownAt: number[];
}

let script: Promise<string> | undefined;

/** The SDK, bundled as an app would ship it. */
function sdkScript(): Promise<string> {
  script ??= build({
    entryPoints: [fileURLToPath(import.meta.resolve('@millrace/sdk'))],
    bundle: true,
    format: 'iife',
    globalName: 'millrace',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  }).then((result) => result.outputFiles[0]!.text);
  return script;
}

export interface PlaceOptions {
  /** URL of an app's backend: POST { stream, region, exclude } returns a placement. */
  placeUrl: string;
  stream: string;
  region: string;
  /** Codec of a publisher; default VP8. */
  codec?: string;
  /** Whether a publisher sends three simulcast layers of 960x540. */
  simulcast?: boolean;
  /** Nodes to exclude, besides those that failed. */
  avoid?: readonly string[];
}

/** A page that runs the SDK. */
export async function sdkPage(browser: Browser): Promise<Page> {
  const page = await browser.newPage();
  await page.addScriptTag({ content: await sdkScript() });
  return page;
}

/** Handles the page's placement requests at its own origin, as an app's backend does. */
function throughOwnOrigin(options: PlaceOptions): PlaceOptions {
  return { ...options, placeUrl: `/forward?to=${encodeURIComponent(options.placeUrl)}` };
}

/** Plays with the SDK's Player; resolves when it is live. */
export async function sdkPlayer(browser: Browser, options: PlaceOptions): Promise<Page> {
  const page = await sdkPage(browser);
  await page.evaluate(async ({ placeUrl, stream, region, avoid }) => {
    const own = globalThis as unknown as SdkWindow;
    const log: SessionLog = (own.log = { states: [], places: [], moves: [], errors: [], told: [] });
    const frames: number[] = (own.shownAt = []);
    const video = document.querySelector('video')!;
    let first = true;
    const player = (own.player = new own.millrace.Player({
      placement: async (exclude) => {
        const body = JSON.stringify({ stream, region, exclude: [...exclude, ...(first ? (avoid ?? []) : [])] });
        const response = await fetch(placeUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
        if (!response.ok) throw new Error(`no placement: ${response.status} ${await response.text()}`);
        first = false;
        return (await response.json()) as never;
      },
    }));
    player.on('state', (state) => log.states.push(state));
    player.on('place', ({ node }) => log.places.push(node));
    player.on('move', ({ reason }) => log.moves.push(reason));
    player.on('error', ({ message }) => log.errors.push(message));
    for (const name of ['paused', 'resumed', 'ended'] as const) player.on(name, () => log.told.push(name));
    player.on('media', (media) => (video.srcObject = media));
    const onFrame = (at: number): void => {
      frames.push(at);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
    await player.start();
  }, throughOwnOrigin(options));
  return page;
}

/** Publishes the fake camera with the SDK's Publisher; resolves when it is live. */
export async function sdkPublisher(browser: Browser, options: PlaceOptions): Promise<Page> {
  const page = await sdkPage(browser);
  await page.evaluate(async ({ placeUrl, stream, region, codec, simulcast }) => {
    const own = globalThis as unknown as SdkWindow;
    const log: SessionLog = (own.log = { states: [], places: [], moves: [], errors: [], told: [] });
    const size = simulcast ? { width: 960, height: 540 } : { width: 640, height: 480 };
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { ...size, frameRate: 30 } });
    const layers = [4, 2, 1].map((scaleDownBy) => ({ scaleDownBy, maxBitrateBps: 1_000_000 / scaleDownBy }));
    const publisher = (own.publisher = new own.millrace.Publisher({
      media,
      codecs: [codec ?? 'video/VP8'],
      ...(simulcast ? { layers } : {}),
      placement: async (exclude) => {
        const body = JSON.stringify({ stream, region, exclude });
        const response = await fetch(placeUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
        if (!response.ok) throw new Error(`no placement: ${response.status} ${await response.text()}`);
        return (await response.json()) as never;
      },
    }));
    publisher.on('state', (state) => log.states.push(state));
    publisher.on('place', ({ node }) => log.places.push(node));
    publisher.on('move', ({ reason }) => log.moves.push(reason));
    publisher.on('error', ({ message }) => log.errors.push(message));
    await publisher.start();
  }, throughOwnOrigin(options));
  return page;
}

export interface SdkView extends SessionLog {
  state: string;
  /** Frames shown so far. */
  frames: number;
  /** Longest time between two frames shown since `sinceMs`, up to now. */
  longestGapMs: number;
  audioEnergy: number;
  /** Header extensions in the current description that the congestion controller of the node uses. */
  hasTransportCc: boolean;
  nowMs: number;
}

export function observeSdk(page: Page, sinceMs = 0): Promise<SdkView> {
  return page.evaluate(async (since) => {
    const own = globalThis as unknown as SdkWindow;
    const session = own.player ?? own.publisher;
    const nowMs = performance.now();
    const times = [...(own.shownAt ?? []).filter((at) => at >= since), nowMs];
    let longestGapMs = 0;
    for (let i = 1; i < times.length; i++) longestGapMs = Math.max(longestGapMs, times[i]! - times[i - 1]!);
    let audioEnergy = 0;
    const peer = session.connection?.peer;
    ((await peer?.getStats()) ?? new Map()).forEach((stat: Record<string, unknown>) => {
      if (stat['type'] === 'inbound-rtp' && stat['kind'] === 'audio') audioEnergy = Number(stat['totalAudioEnergy'] ?? 0);
    });
    return {
      ...own.log,
      state: session.state,
      frames: (own.shownAt ?? []).length,
      longestGapMs,
      audioEnergy,
      hasTransportCc: /transport-wide-cc-extensions/.test(peer?.localDescription?.sdp ?? ''),
      nowMs,
    };
  }, sinceMs);
}

/** Polls until the view is as expected; rejects with the last one. */
export async function sdkUntil(page: Page, what: string, wanted: (view: SdkView) => boolean, withinMs: number): Promise<SdkView> {
  const until = Date.now() + withinMs;
  for (;;) {
    const view = await observeSdk(page);
    if (wanted(view)) return view;
    if (Date.now() > until) throw new Error(`${what}: not within ${withinMs} ms; last seen: ${JSON.stringify(view)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
