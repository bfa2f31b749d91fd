import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { packetize, splitAccessUnits } from './h264.ts';

export const FPS = 30;
const SECONDS = 10;
const KBPS = 1200;
/** With SRTP and trunk headers, packets stay below the Ethernet MTU. */
const MAX_PAYLOAD_BYTES = 1100;

/** A clip that is encoded once and sent by all generators, so that encoding uses no CPU during a measurement. */
export interface Clip {
  /** The RTP payloads of each frame. Only the first frame is a keyframe. */
  readonly frames: readonly (readonly Buffer[])[];
  readonly packetsPerSecond: number;
  readonly kbps: number;
  readonly description: string;
}

/** Encodes a test picture with noise, so that the encoder uses the full bit rate. @throws Error when FFmpeg fails */
export async function encodeClip(): Promise<Clip> {
  const ffmpeg = process.env['MILLRACE_FFMPEG'] || 'ffmpeg';
  const source = `testsrc2=size=640x360:rate=${FPS}:duration=${SECONDS},noise=alls=14:allf=t`;
  const encoder = `-c:v libx264 -threads 1 -preset ultrafast -tune zerolatency -profile:v baseline -pix_fmt yuv420p`;
  const rate = `-b:v ${KBPS}k -maxrate ${KBPS}k -bufsize ${KBPS / 4}k -g 100000 -x264-params aud=1:scenecut=0`;
  const args = ['-hide_banner', '-loglevel', 'error', '-f', 'lavfi', '-i', source, ...encoder.split(' '), ...rate.split(' ')];
  const { stdout } = await promisify(execFile)(ffmpeg, [...args, '-f', 'h264', 'pipe:1'], {
    encoding: 'buffer',
    maxBuffer: 64 * 2 ** 20,
    timeout: 60_000,
  });
  return clipOf(splitAccessUnits(stdout).map((unit) => packetize(unit, MAX_PAYLOAD_BYTES)));
}

function clipOf(frames: Buffer[][]): Clip {
  const payloads = frames.flat();
  const perSecond = FPS / frames.length;
  const kbps = (payloads.reduce((sum, payload) => sum + payload.length, 0) * 8 * perSecond) / 1000;
  const packetsPerSecond = payloads.length * perSecond;
  return {
    frames,
    kbps,
    packetsPerSecond,
    description: `H.264 640x360, ${FPS} frames/s, ${Math.round(kbps)} kbps in ${Math.round(packetsPerSecond)} packets/s, encoded in advance and sent by a generator that answers keyframe requests, and otherwise sends a keyframe every ${SECONDS} s`,
  };
}
