import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, type Browser as DrivenBrowser, type LaunchOptions, type Page } from 'puppeteer-core';
import { startPageServer } from './browser-page-server.ts';
import { descendantsOf, pidsNaming } from './node-process.ts';

export type { Page } from 'puppeteer-core';

export const browserNames = ['chromium', 'firefox'] as const;
export type BrowserName = (typeof browserNames)[number];

export interface Browser {
  readonly name: BrowserName;
  /** An empty page of an http origin on this machine, in its own window, with a fake camera and microphone. */
  newPage(): Promise<Page>;
  close(): Promise<void>;
  /** Sends SIGKILL to all its processes at once, so that no connection is closed properly. */
  kill(): void;
}

export interface BrowserOptions {
  /** Default: chromium. */
  readonly name?: BrowserName;
  /**
   * `loopback` lets ICE pair with 127.0.0.1 and announces the machine's addresses unmasked; `default` keeps the browser's ICE settings.
   * Default: loopback.
   */
  readonly ice?: 'loopback' | 'default';
  /** The caller ends the browser on SIGINT, SIGTERM and SIGHUP. Otherwise the browser's library does, and ends this process too. */
  readonly leaveSignals?: boolean;
}

/** A headless browser with a fresh profile; MILLRACE_CHROMIUM and MILLRACE_FIREFOX name other programs. */
export async function launchBrowser(options: BrowserOptions = {}): Promise<Browser> {
  const { name = 'chromium', ice = 'loopback', leaveSignals = false } = options;
  const profile = await mkdtemp(join(tmpdir(), `millrace-${name}-`));
  const driven = await launch({
    headless: true,
    userDataDir: profile,
    handleSIGINT: !leaveSignals,
    handleSIGTERM: !leaveSignals,
    handleSIGHUP: !leaveSignals,
    ...(name === 'chromium' ? chromiumOptions(ice) : firefoxOptions(ice)),
  });
  const server = await startPageServer();
  return {
    name,
    kill() {
      const own = pidsNaming(profile).filter((pid) => pid !== process.pid);
      for (const pid of new Set(own.flatMap((each) => [each, ...descendantsOf(each)]))) process.kill(pid, 'SIGKILL');
    },
    async newPage() {
      // Its own window: browsers slow down the timers of a background tab and stop its frame callbacks.
      const page = await driven.newPage({ type: 'window' });
      await page.goto(server.url);
      return page;
    },
    async close() {
      await closeDriven(driven);
      server.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

async function closeDriven(driven: DrivenBrowser): Promise<void> {
  await driven.close().catch(() => undefined); // It may have been killed.
}

type Ice = NonNullable<BrowserOptions['ice']>;

function chromiumOptions(ice: Ice): LaunchOptions {
  const ofIce = ['--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection'];
  return {
    browser: 'chrome',
    executablePath: process.env['MILLRACE_CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      ...(ice === 'loopback' ? ofIce : []),
    ],
  };
}

/** Preferences of Firefox (modules/libpref/init/StaticPrefList.yaml, section `media`). */
function firefoxOptions(ice: Ice): LaunchOptions {
  const ofIce = { 'media.peerconnection.ice.loopback': true, 'media.peerconnection.ice.obfuscate_host_addresses': false };
  return {
    browser: 'firefox',
    executablePath: process.env['MILLRACE_FIREFOX'] ?? '/usr/bin/firefox-esr',
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'media.autoplay.default': 0, // 0: allowed
      ...(ice === 'loopback' ? ofIce : {}),
    },
  };
}
