import type { types } from 'mediasoup';
import { missingTools, nameOfFormat, parseProfileLevelId } from './h264.ts';

type Format = Pick<types.RtpCodecParameters, 'mimeType' | 'parameters'>;

/** Why a decoder that offers one format does not take a stream of another: the parameter that differs, with its values for people. */
export interface Mismatch {
  parameter: string;
  stream: string;
  offered: string;
}

/**
 * Whether a viewer's decoder takes the stream; both have the same codec name. Parameters are read as the codec's RTP payload format defines them, with its
 * defaults, but what a viewer does not say is not held against it: players that write no fmtp, or half of it, decode what others do.
 */
export function mismatchOf(offered: Format, stream: Format): Mismatch | undefined {
  switch (stream.mimeType.toLowerCase()) {
    case 'video/h264':
      return h264Mismatch(offered, stream);
    case 'video/vp9':
      // RFC 9628 section 6: the profile, 0 unless given; each is a bit depth and chroma format of its own.
      return unequal('profile-id', offered, stream);
    case 'video/av1':
      return av1Mismatch(offered, stream);
    default:
      return undefined;
  }
}

/** Among formats that a viewer's decoder takes the stream in, the lower the better: the same sub-profile and packetization before a wider one. */
export function distanceOf(offered: Format, stream: Format): number {
  if (stream.mimeType.toLowerCase() !== 'video/h264') return 0;
  const decoder = parseProfileLevelId(parameter(offered, 'profile-level-id'));
  const made = parseProfileLevelId(parameter(stream, 'profile-level-id'));
  const spare = decoder && made ? missingTools(made, decoder).length : 1;
  const otherMode = packetizationMode(offered) === packetizationMode(stream) ? 0 : 1;
  return 2 * spare + otherMode + (decoder?.profile === made?.profile ? 0 : 1);
}

/** RFC 6184 section 8.2.2. */
function h264Mismatch(offered: Format, stream: Format): Mismatch | undefined {
  const written = parameter(offered, 'profile-level-id');
  const decoder = parseProfileLevelId(written);
  const made = parseProfileLevelId(parameter(stream, 'profile-level-id'));
  if (written !== undefined && decoder && made) {
    const differs = { parameter: 'profile-level-id', stream: nameOfFormat(made), offered: nameOfFormat(decoder) };
    const missing = missingTools(decoder, made);
    if (missing.length > 0) return { ...differs, offered: `${differs.offered}, without ${missing.join(', ')}` };
    // The level may be exceeded only where the viewer allows asymmetry, as browsers do: theirs is a constant.
    const mayExceed = Number(parameter(offered, 'level-asymmetry-allowed') ?? 0) === 1;
    const highest = Math.max(decoder.level, maxRecvLevel(offered));
    if (!mayExceed && made.level > highest)
      return { ...differs, offered: `${differs.offered}, without level-asymmetry-allowed=1` };
  }
  const mode = parameter(offered, 'packetization-mode');
  const [theirs, ours] = [packetizationMode(offered), packetizationMode(stream)];
  // A decoder of mode 1 takes mode 0 as well; mode 2 (interleaved) is neither (section 5.4).
  if (mode !== undefined && theirs !== ours && !(theirs === 1 && ours === 0))
    return { parameter: 'packetization-mode', stream: String(ours), offered: String(theirs) };
  return undefined;
}

/** RTP payload format for AV1, section 7.2: profile 0 unless given; a decoder of a profile takes those below it. */
function av1Mismatch(offered: Format, stream: Format): Mismatch | undefined {
  for (const name of ['profile', 'level-idx', 'tier']) {
    const theirs = parameter(offered, name);
    const ours = parameter(stream, name);
    // The level and tier that are inferred say nothing of the stream or the decoder, they stand where nobody thought of them.
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

/** max-recv-level (RFC 6184 section 8.1): level_iop and level_idc; 0 where there is none. */
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
