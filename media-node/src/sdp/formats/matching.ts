import type { types } from 'mediasoup';
import { missingTools, nameOfFormat, parseProfileLevelId } from './h264.ts';

type Format = Pick<types.RtpCodecParameters, 'mimeType' | 'parameters'>;

/** Why a decoder cannot play a stream: the parameter that differs, with the values of both sides for error messages. */
export interface Mismatch {
  parameter: string;
  stream: string;
  offered: string;
}

/**
 * Compares a viewer's decoder with a stream of the same codec name; undefined when the decoder can play it. Parameters and their defaults follow the codec's
 * RTP payload format. A parameter that the viewer omits never causes a mismatch: players with no fmtp, or an incomplete one, decode what others do.
 */
export function mismatchOf(offered: Format, stream: Format): Mismatch | undefined {
  switch (stream.mimeType.toLowerCase()) {
    case 'video/h264':
      return h264Mismatch(offered, stream);
    case 'video/vp9':
      // RFC 9628 section 6: the profile defaults to 0. Each profile is a distinct bit depth and chroma format.
      return unequal('profile-id', offered, stream);
    case 'video/av1':
      return av1Mismatch(offered, stream);
    default:
      return undefined;
  }
}

/** Ranks the formats under which a viewer can play the stream; lower is better. The same sub-profile and packetization come before wider ones. */
export function distanceOf(offered: Format, stream: Format): number {
  if (stream.mimeType.toLowerCase() !== 'video/h264') return 0;
  const decoder = parseProfileLevelId(parameter(offered, 'profile-level-id'));
  const format = parseProfileLevelId(parameter(stream, 'profile-level-id'));
  const spare = decoder && format ? missingTools(format, decoder).length : 1;
  const otherMode = packetizationMode(offered) === packetizationMode(stream) ? 0 : 1;
  return 2 * spare + otherMode + (decoder?.profile === format?.profile ? 0 : 1);
}

/** RFC 6184 section 8.2.2. */
function h264Mismatch(offered: Format, stream: Format): Mismatch | undefined {
  const written = parameter(offered, 'profile-level-id');
  const decoder = parseProfileLevelId(written);
  const format = parseProfileLevelId(parameter(stream, 'profile-level-id'));
  if (written !== undefined && decoder && format) {
    const differs = { parameter: 'profile-level-id', stream: nameOfFormat(format), offered: nameOfFormat(decoder) };
    const missing = missingTools(decoder, format);
    if (missing.length > 0) return { ...differs, offered: `${differs.offered}, without ${missing.join(', ')}` };
    // A stream may exceed the level only where the viewer allows asymmetry, as browsers do: their level is a constant, not a limit.
    const mayExceed = Number(parameter(offered, 'level-asymmetry-allowed') ?? 0) === 1;
    const highest = Math.max(decoder.level, maxRecvLevel(offered));
    if (!mayExceed && format.level > highest)
      return { ...differs, offered: `${differs.offered}, without level-asymmetry-allowed=1` };
  }
  const mode = parameter(offered, 'packetization-mode');
  const [theirs, ours] = [packetizationMode(offered), packetizationMode(stream)];
  // A decoder of mode 1 also accepts mode 0, but not mode 2 (interleaved; section 5.4).
  if (mode !== undefined && theirs !== ours && !(theirs === 1 && ours === 0))
    return { parameter: 'packetization-mode', stream: String(ours), offered: String(theirs) };
  return undefined;
}

/** RTP payload format for AV1, section 7.2: the profile defaults to 0; a decoder of one profile accepts all lower ones. */
function av1Mismatch(offered: Format, stream: Format): Mismatch | undefined {
  for (const name of ['profile', 'level-idx', 'tier']) {
    const theirs = parameter(offered, name);
    const ours = parameter(stream, name);
    // The default level and tier describe neither stream nor decoder: they only mean that nobody set them.
    if (name !== 'profile' && (theirs === undefined || ours === undefined)) continue;
    if (Number(ours ?? 0) > Number(theirs ?? 0)) return { parameter: name, stream: shown(ours, 0), offered: shown(theirs, 0) };
  }
  return undefined;
}

function unequal(name: string, offered: Format, stream: Format): Mismatch | undefined {
  const [theirs, ours] = [parameter(offered, name), parameter(stream, name)];
  if (Number(theirs ?? 0) === Number(ours ?? 0)) return undefined;
  return { parameter: name, stream: shown(ours, 0), offered: shown(theirs, 0) };
}

export function packetizationMode(codec: Pick<Format, 'parameters'>): number {
  return Number(parameter(codec, 'packetization-mode') ?? 0);
}

/** The level_idc of max-recv-level (RFC 6184 section 8.1); 0 when the parameter is absent. */
function maxRecvLevel(codec: Format): number {
  const value = String(parameter(codec, 'max-recv-level') ?? '');
  return /^[0-9a-f]{4}$/i.test(value) ? Number.parseInt(value.slice(2), 16) : 0;
}

function parameter(codec: Pick<Format, 'parameters'>, name: string): string | number | undefined {
  return (codec.parameters as Record<string, string | number> | undefined)?.[name];
}

function shown(value: string | number | undefined, inferred: number): string {
  return value === undefined ? `${inferred} (the default)` : String(value);
}
