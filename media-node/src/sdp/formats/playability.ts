import type { types } from 'mediasoup';
import { parseProfileLevelId, nameOfFormat } from './h264.ts';

/** Level 5.2, in tenths: browsers' hardware decoders support no higher level. */
const MAX_COMMON_LEVEL = 52;
const UNCOMMON_TOOLS = ['10 bit', '4:2:2', '4:4:4', 'data partitioning'];

/** Why few viewers can play this format, and the remedy; undefined when most can. */
export function playabilityOf(codec: Pick<types.RtpCodecParameters, 'mimeType' | 'parameters'>): string | undefined {
  const parameters = (codec.parameters ?? {}) as Record<string, string | number>;
  switch (codec.mimeType.toLowerCase()) {
    case 'video/h264':
      return h264Playability(parameters['profile-level-id']);
    case 'video/vp9': {
      const profile = Number(parameters['profile-id'] ?? 0);
      return profile === 0
        ? undefined
        : `VP9 profile-id ${profile} is played by few viewers; let the encoder use profile 0 (8 bit, 4:2:0)`;
    }
    case 'video/av1': {
      const profile = Number(parameters['profile'] ?? 0);
      return profile === 0 ? undefined : `AV1 profile ${profile} is played by few viewers; let the encoder use profile 0 (Main)`;
    }
    default:
      return undefined;
  }
}

function h264Playability(value: string | number | undefined): string | undefined {
  const format = parseProfileLevelId(value);
  if (!format)
    return `H264 profile-level-id ${String(value).slice(0, 32)} is not three bytes in hexadecimal (RFC 6184 section 8.1) and counts as not given; write e.g. 42e01f`;
  const uncommon = [...format.tools].filter((tool) => UNCOMMON_TOOLS.includes(tool));
  if (format.profile === undefined || uncommon.length > 0) {
    const why = uncommon.length > 0 ? ` (${uncommon.join(', ')})` : '';
    return `H264 profile-level-id ${nameOfFormat(format)} is played by few viewers${why}; let the encoder use Constrained Baseline, Main or High, 8 bit, 4:2:0`;
  }
  if (format.level > MAX_COMMON_LEVEL)
    return `H264 profile-level-id ${nameOfFormat(format)} is played by few viewers; let the encoder stay within level 5.2`;
  return undefined;
}
