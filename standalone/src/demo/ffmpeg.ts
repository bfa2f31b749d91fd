import { urlHost } from '@millrace/api';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Writable } from 'node:stream';
import type { Box } from './picture.ts';
import { clockBoxes, createPicture, paint, paintClock } from './picture.ts';
import { AUDIO, VIDEO } from './tracks.ts';

/** An input of FFmpeg: its files and filters, and a feed for its standard input. */
export interface Source {
  readonly name: string;
  readonly inputs: readonly string[];
  /** The streams of the inputs to send as video and as audio. */
  readonly video: string;
  readonly audio?: string;
  readonly feed: (stdin: Writable, signal: AbortSignal) => Promise<void>;
}

const WIDTH = 640;
const HEIGHT = 360;
const FPS = 30;
const CLIP_WIDTH = 1280;
const CLIP_HEIGHT = 720;
const RAW = [
  '-f',
  'rawvideo',
  '-pix_fmt',
  'yuv420p',
  '-video_size',
  `${WIDTH}x${HEIGHT}`,
  '-framerate',
  String(FPS),
  '-i',
  'pipe:0',
];

const QUIET = ['-hide_banner', '-loglevel', 'error', '-nostats', '-fflags', 'nobuffer'];
const VIDEO_CODEC = [
  '-c:v',
  'libx264',
  '-preset',
  'ultrafast',
  '-tune',
  'zerolatency',
  '-profile:v',
  'baseline',
  '-pix_fmt',
  'yuv420p',
];
/** One keyframe each second, with its parameter sets in band, because FFmpeg ignores keyframe requests over plain RTP. */
const VIDEO_RATE = [
  '-b:v',
  '1200k',
  '-maxrate',
  '1500k',
  '-bufsize',
  '600k',
  '-g',
  String(FPS),
  '-bsf:v',
  'dump_extra=freq=keyframe',
];
const AUDIO_CODEC = ['-c:a', 'libopus', '-b:a', '48k', '-ac', '2', '-ar', '48000', '-application', 'lowdelay'];

/** A moving picture with a burnt-in clock, and a tone. */
export function clockSource(): Source {
  return {
    name: 'a moving picture with a clock',
    inputs: [...RAW, '-re', '-f', 'lavfi', '-i', 'sine=frequency=330:beep_factor=4:sample_rate=48000'],
    video: '0:v',
    audio: '1:a',
    feed: (stdin, signal) => feedFrames(stdin, signal, paint),
  };
}

/** A given clip in a loop, with the clock drawn over it. @throws Error when there is no such file or FFmpeg cannot read it */
export function fileSource(path: string, ffmpeg = ffmpegPath()): Source {
  if (!existsSync(path)) throw new Error(`SOURCE=${path}: there is no such file (looked for ${resolve(path)})`);
  const { stderr: probe, error } = spawnSync(ffmpeg, ['-hide_banner', '-i', path], { encoding: 'utf8' });
  if (error) throw cannotStart(error);
  if (!/Stream #.*Video:/.test(probe)) throw new Error(`SOURCE=${path}: FFmpeg finds no video in it`);
  const hasAudio = /Stream #.*Audio:/.test(probe);
  const [cells, digits] = clockBoxes(WIDTH, HEIGHT);
  const filters = [
    `[1:v]scale=${CLIP_WIDTH}:${CLIP_HEIGHT}:force_original_aspect_ratio=decrease,pad=${CLIP_WIDTH}:${CLIP_HEIGHT}:-1:-1,fps=${FPS}[clip]`,
    '[0:v]split[a][b]',
    `[a]${cut(cells)}[cells]`,
    `[b]${cut(digits)}[digits]`,
    `[clip][cells]${lay(cells)}[timed]`,
    `[timed][digits]${lay(digits)}[v]`,
  ];
  return {
    name: path,
    inputs: [...RAW, '-re', '-stream_loop', '-1', '-i', path, '-filter_complex', filters.join(';')],
    video: '[v]',
    ...(hasAudio ? { audio: '1:a:0' } : {}),
    feed: (stdin, signal) => feedFrames(stdin, signal, paintClock),
  };
}

/** Cuts the clock out of the generated picture and scales it for the clip, without smoothing its cells. */
function cut({ x, y, width, height }: Box): string {
  const grow = CLIP_WIDTH / WIDTH;
  return `crop=${width}:${height}:${x}:${y},scale=${width * grow}:${height * grow}:flags=neighbor`;
}

/** Overlays it in the same place. The clip ends with the clock, that is, with this process. */
function lay({ x, y }: Box): string {
  const grow = CLIP_WIDTH / WIDTH;
  return `overlay=${x * grow}:${y * grow}:eof_action=endall`;
}

/** The FFmpeg program: that of the environment, or else the one in PATH. */
function ffmpegPath(): string {
  return process.env.MILLRACE_FFMPEG || 'ffmpeg';
}

function cannotStart({ message }: Error): Error {
  return new Error(`FFmpeg cannot be started (${message}). Install it, or set MILLRACE_FFMPEG to its path.`);
}

/**
 * Runs FFmpeg towards a local RTP port until it ends or the signal aborts. `adopt` gets its process, which does not end by itself, and returns
 * a function to call when it has ended.
 * @throws Error with the end of FFmpeg's log
 */
export async function runFfmpeg(
  source: Source,
  to: { address: string; port: number },
  signal: AbortSignal,
  adopt: (pid: number) => () => void,
): Promise<void> {
  const url = `rtp://${urlHost(to.address)}:${to.port}?rtcpport=${to.port}`;
  const child = spawn(ffmpegPath(), [...QUIET, ...source.inputs, ...outputs(source, url)], {
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  const disown = child.pid === undefined ? undefined : adopt(child.pid);
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-2_000)));
  child.stdin.on('error', () => undefined); // FFmpeg ended; its exit is reported
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(cannotStart(error)));
    child.once('exit', (code) =>
      signal.aborted || code === 0
        ? resolve()
        : reject(new Error(`FFmpeg ended with ${code}: ${words.trim().split('\n').slice(-3).join(' ')}`)),
    );
  });
  const feeding = new AbortController();
  try {
    void source.feed(child.stdin, AbortSignal.any([signal, feeding.signal])).catch(() => undefined);
    await ended;
  } finally {
    feeding.abort();
    signal.removeEventListener('abort', kill);
    kill();
    disown?.();
  }
}

function outputs(source: Source, url: string): string[] {
  const rtp = ({ payloadType, ssrc }: { payloadType: number; ssrc: number }) => [
    '-payload_type',
    String(payloadType),
    '-ssrc',
    String(ssrc),
    '-f',
    'rtp',
    url,
  ];
  const video = ['-map', source.video, ...VIDEO_CODEC, ...VIDEO_RATE, ...rtp(VIDEO)];
  return source.audio ? [...video, '-map', source.audio, ...AUDIO_CODEC, ...rtp(AUDIO)] : video;
}

/** Writes frames in real time, each with the time at which it was painted. Waits while FFmpeg is behind. */
async function feedFrames(stdin: Writable, signal: AbortSignal, draw: typeof paint): Promise<void> {
  const picture = createPicture(WIDTH, HEIGHT);
  const startMs = performance.now();
  for (let frame = 0; !signal.aborted && !stdin.destroyed; frame++) {
    const waitMs = startMs + (frame * 1_000) / FPS - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    draw(picture, Date.now());
    await written(stdin, picture.bytes, signal);
  }
  stdin.end();
}

/** Writes and waits until the buffer may be reused, because a stream keeps the bytes that it could not pass on at once. */
function written(stdin: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    stdin.write(bytes, done);
  });
}
