import type { Page } from '@millrace/testbed/browser';
import type { PlacementResponse } from '@millrace/api';

/** Times in ms since the viewer's request. */
export interface JoinTimes {
  /** Control placed the viewer on a node. */
  readonly placedMs: number;
  /** The node answered the WHEP POST. */
  readonly answeredMs: number;
  /** ICE and DTLS are connected. */
  readonly connectedMs: number;
  /** The last packet of the first frame arrived. */
  readonly receivedMs: number;
  /** The first frame is decoded and handed to the compositor. */
  readonly decodedMs: number;
}

export interface PlayedFrame {
  /** Wall clock, ms. */
  readonly atMs: number;
  readonly rtpTimestamp: number;
}

export interface ViewerState {
  readonly ssrc: number;
  readonly framesDecoded: number;
  readonly framesDropped: number;
  readonly keyFramesDecoded: number;
  readonly packetsLost: number;
  readonly freezes: number;
}

/** Joins a stream in the page by WHEP, video only. Resolves when the first frame is shown. */
export async function joinStream(
  page: Page,
  place: () => Promise<PlacementResponse>,
): Promise<{ times: JoinTimes; session: string }> {
  const startMs = performance.now();
  const { url, token } = await place();
  const placedMs = performance.now() - startMs;
  // This function runs in the page and cannot use this module's scope.
  const joined = await page.evaluate(
    async ({ url, token }) => {
      const state = globalThis as unknown as { player?: RTCPeerConnection; played: PlayedFrame[] };
      const startMs = performance.now();
      const since = () => performance.now() - startMs;
      const pc = (state.player = new RTCPeerConnection());
      const video = document.querySelector('video')!;
      video.muted = true;
      state.played = [];
      const first = new Promise<{ receivedMs: number; decodedMs: number }>((resolve, reject) => {
        setTimeout(() => reject(new Error('no frame within 20 s')), 20_000);
        const onFrame = (_: number, { receiveTime, rtpTimestamp }: VideoFrameCallbackMetadata) => {
          state.played.push({ atMs: performance.timeOrigin + performance.now(), rtpTimestamp: rtpTimestamp ?? 0 });
          resolve({ receivedMs: (receiveTime ?? NaN) - startMs, decodedMs: since() });
          if (pc.connectionState !== 'closed') video.requestVideoFrameCallback(onFrame);
        };
        video.requestVideoFrameCallback(onFrame);
      });
      pc.addTransceiver('video', { direction: 'recvonly' });
      pc.ontrack = ({ track }) => (video.srcObject = new MediaStream([track]));
      let connectedMs = NaN;
      pc.onconnectionstatechange = () => {
        if (pc.connectionState === 'connected') connectedMs = since();
      };
      await pc.setLocalDescription();
      const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${token}` };
      const response = await fetch(url, { method: 'POST', headers, body: pc.localDescription!.sdp });
      const answer = await response.text();
      const answeredMs = since();
      if (response.status !== 201) throw new Error(`WHEP answered ${response.status}: ${answer}`);
      await pc.setRemoteDescription({ type: 'answer', sdp: answer });
      const { receivedMs, decodedMs } = await first;
      const session = new URL(response.headers.get('location')!, response.url).href;
      return { session, answeredMs, connectedMs, receivedMs, decodedMs };
    },
    { url, token },
  );
  const { session, ...inPage } = joined;
  const times = Object.fromEntries(Object.entries(inPage).map(([name, ms]) => [name, placedMs + ms]));
  return { times: { placedMs, ...times } as unknown as JoinTimes, session };
}

/** Frames shown since the last call. */
export function takeFrames(page: Page): Promise<PlayedFrame[]> {
  return page.evaluate(() => (globalThis as unknown as { played: PlayedFrame[] }).played.splice(0));
}

export function observeViewer(page: Page): Promise<ViewerState> {
  return page.evaluate(async () => {
    const pc = (globalThis as unknown as { player: RTCPeerConnection }).player;
    const state = { ssrc: 0, framesDecoded: 0, framesDropped: 0, keyFramesDecoded: 0, packetsLost: 0, freezes: 0 };
    (await pc.getStats()).forEach((stat: Record<string, unknown>) => {
      if (stat['type'] !== 'inbound-rtp') return;
      state.ssrc = Number(stat['ssrc']);
      state.framesDecoded = Number(stat['framesDecoded'] ?? 0);
      state.framesDropped = Number(stat['framesDropped'] ?? 0);
      state.keyFramesDecoded = Number(stat['keyFramesDecoded'] ?? 0);
      state.packetsLost = Number(stat['packetsLost'] ?? 0);
      state.freezes = Number(stat['freezeCount'] ?? 0);
    });
    return state;
  });
}

export async function leaveStream(page: Page, session: string): Promise<void> {
  await page.evaluate(() => (globalThis as unknown as { player: RTCPeerConnection }).player.close());
  await fetch(session, { method: 'DELETE', signal: AbortSignal.timeout(5_000) });
}
