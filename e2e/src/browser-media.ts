import type { Page } from '@millrace/testbed/browser';

// Page functions are self-contained, since they cannot access this module's scope.

export interface PublishOptions {
  whipUrl: string;
  token?: string;
  /** As in RTCRtpCodec.mimeType. */
  videoCodec: string;
  simulcast?: boolean;
}

/** Publishes the page's fake camera and microphone by WHIP; resolves to the session's URL once connected. */
export function publishCamera(page: Page, options: PublishOptions): Promise<string> {
  return page.evaluate(async ({ whipUrl, token, videoCodec, simulcast }) => {
    // Below 960x540 Chromium sends two layers, whatever is requested.
    const size = simulcast ? { width: 960, height: 540 } : { width: 640, height: 480 };
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { ...size, frameRate: 30 } });
    const pc = new RTCPeerConnection();
    (globalThis as { publisher?: RTCPeerConnection }).publisher = pc;
    for (const track of media.getAudioTracks()) pc.addTransceiver(track, { direction: 'sendonly' });
    // Without a scalabilityMode Chromium sends these codecs' layers as one SVC stream. Firefox does not support modes.
    const mode = ['video/VP9', 'video/AV1'].includes(videoCodec) ? { scalabilityMode: 'L1T3' } : {};
    const layers = [
      { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000, ...mode },
      { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 400_000, ...mode },
      { rid: 'f', maxBitrate: 900_000, ...mode },
    ];
    const [video] = media.getVideoTracks();
    const transceiver = pc.addTransceiver(video!, { direction: 'sendonly', sendEncodings: simulcast ? layers : [{}] });
    const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === videoCodec || mimeType === 'video/rtx'));
    await pc.setLocalDescription();
    const headers = { 'content-type': 'application/sdp', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(whipUrl, { method: 'POST', headers, body: pc.localDescription!.sdp });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(`WHIP answered ${response.status}: ${answer}`);
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    const until = Date.now() + 10_000;
    while (pc.connectionState !== 'connected') {
      if (Date.now() > until) throw new Error(`the publisher's connection is ${pc.connectionState}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return new URL(response.headers.get('location')!, response.url).href;
  }, options);
}

export interface PlayOptions {
  whepUrl: string;
  token?: string;
  /** Order of the offer's sections. */
  sections?: ('audio' | 'video')[];
}

/** Plays by WHEP into the page's video element; resolves to the session's URL. */
export function playStream(page: Page, options: PlayOptions): Promise<string> {
  return page.evaluate(async ({ whepUrl, token, sections }) => {
    const pc = new RTCPeerConnection();
    (globalThis as { player?: RTCPeerConnection }).player = pc;
    for (const kind of sections ?? ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
    const stream = new MediaStream();
    document.querySelector('video')!.srcObject = stream;
    pc.ontrack = ({ track }) => stream.addTrack(track);
    await pc.setLocalDescription();
    const headers = { 'content-type': 'application/sdp', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(whepUrl, { method: 'POST', headers, body: pc.localDescription!.sdp });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(`WHEP answered ${response.status}: ${answer}`);
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    return new URL(response.headers.get('location')!, response.url).href;
  }, options);
}

export interface Playback {
  framesDecoded: number;
  frameWidth: number;
  audioPackets: number;
  /** Since the start of the connection, as in RTCInboundRtpStreamStats. */
  audioEnergy: number;
  /** Brightest minus darkest value of the picture, 0 to 255. Chromium's fake camera shows shapes, Firefox's a single colour. */
  spread: number;
  /** Mean difference between this picture and that of the previous observation, 0 to 255: 0 for a black or frozen picture. */
  motion: number;
}

/** The current state of the page's player. */
export function observePlayback(page: Page): Promise<Playback> {
  return page.evaluate(async () => {
    const pc = (globalThis as { player?: RTCPeerConnection }).player!;
    const playback = { framesDecoded: 0, frameWidth: 0, audioPackets: 0, audioEnergy: 0, spread: 0, motion: 0 };
    (await pc.getStats()).forEach((stat: Record<string, unknown>) => {
      if (stat['type'] !== 'inbound-rtp') return;
      if (stat['kind'] === 'video') {
        playback.framesDecoded = Number(stat['framesDecoded'] ?? 0);
        playback.frameWidth = Number(stat['frameWidth'] ?? 0);
      } else {
        playback.audioPackets = Number(stat['packetsReceived'] ?? 0);
        playback.audioEnergy = Number(stat['totalAudioEnergy'] ?? 0);
      }
    });
    const canvas = document.createElement('canvas');
    canvas.width = 64;
    canvas.height = 48;
    const context = canvas.getContext('2d')!;
    context.drawImage(document.querySelector('video')!, 0, 0, 64, 48);
    const { data } = context.getImageData(0, 0, 64, 48);
    const values = [...data].filter((_, at) => at % 4 !== 3); // the fourth of each pixel is its opacity
    playback.spread = Math.max(...values) - Math.min(...values);
    const own = globalThis as { shown?: number[] };
    const before = own.shown ?? values;
    playback.motion = values.reduce((sum, value, at) => sum + Math.abs(value - before[at]!), 0) / values.length;
    own.shown = values;
    return playback;
  });
}

/** Polls until the playback satisfies `wanted`; rejects with the last one seen. */
export async function playbackUntil(page: Page, wanted: (playback: Playback) => boolean, withinMs = 15_000): Promise<Playback> {
  const until = Date.now() + withinMs;
  for (;;) {
    const playback = await observePlayback(page);
    if (wanted(playback)) return playback;
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms; last seen: ${JSON.stringify(playback)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
