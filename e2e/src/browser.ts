import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { descendantsOf, pidsNaming } from './node-process.ts';

export interface Browser {
  /** An empty page of an http origin on this machine, where camera and microphone are fakes. */
  newPage(): Promise<Page>;
  close(): Promise<void>;
  /** SIGKILL to all of its processes at once: nothing says goodbye. */
  kill(): void;
}

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  // Without it ICE on 127.0.0.1 stays at "new".
  '--allow-loopback-in-peer-connection',
];

export interface BrowserOptions {
  /** The caller ends the browser on SIGINT, SIGTERM and SIGHUP; without it the browser's library does, and ends this process. */
  readonly leaveSignals?: boolean;
}

/** Headless Chromium with a fresh profile; MILLRACE_CHROMIUM names another binary. */
export async function launchBrowser(options: BrowserOptions = {}): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'millrace-chromium-'));
  const executablePath = process.env['MILLRACE_CHROMIUM'] ?? '/usr/bin/chromium';
  const ours = options.leaveSignals !== true;
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: ARGS,
    handleSIGINT: ours,
    handleSIGTERM: ours,
    handleSIGHUP: ours,
  });
  const server = http.createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>millrace</title><video autoplay playsinline></video>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    kill() {
      const own = pidsNaming(profile).filter((pid) => pid !== process.pid);
      for (const pid of new Set(own.flatMap((each) => [each, ...descendantsOf(each)]))) process.kill(pid, 'SIGKILL');
    },
    async newPage() {
      const page = await context.newPage();
      await page.goto(`http://127.0.0.1:${port}/`);
      return page;
    },
    async close() {
      await context.close().catch(() => undefined); // It may have been killed.
      server.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
