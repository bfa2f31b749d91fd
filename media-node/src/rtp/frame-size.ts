import { BitReader } from './bit-reader.ts';
import { NAL_SPS, nalParts } from './h264-nal-units.ts';
import type { RtpView } from './rtp-packet.ts';
import { vp8PayloadStart } from './vp8.ts';

/** Size of a coded picture, in luma samples. */
export interface FrameSize {
  width: number;
  height: number;
}

/**
 * Reads the picture's size from the first packet of a keyframe; undefined when it is absent or truncated. For the codecs that media workers forward as
 * simulcast: VP8 and H.264.
 */
export function frameSizeOf(mimeType: string, view: RtpView): FrameSize | undefined {
  const size = reader(mimeType)?.(view);
  return size && size.width > 0 && size.height > 0 ? size : undefined;
}

function reader(mimeType: string): ((view: RtpView) => FrameSize | undefined) | undefined {
  switch (mimeType.toLowerCase()) {
    case 'video/vp8':
      return vp8Size;
    case 'video/h264':
      return h264Size;
    default:
      return undefined;
  }
}

/** RFC 6386 section 9.1: frame tag, start code, then 14 bits each, little-endian. */
function vp8Size({ buffer, payloadStart, payloadEnd }: RtpView): FrameSize | undefined {
  const at = vp8PayloadStart(buffer, payloadStart, payloadEnd);
  if (at === undefined || at + 10 > payloadEnd || (buffer[at]! & 1) !== 0) return undefined;
  if (buffer[at + 3] !== 0x9d || buffer[at + 4] !== 0x01 || buffer[at + 5] !== 0x2a) return undefined;
  return { width: buffer.readUInt16LE(at + 6) & 0x3fff, height: buffer.readUInt16LE(at + 8) & 0x3fff };
}

/** The SPS with which a keyframe begins (RFC 6184). */
function h264Size({ buffer, payloadStart, payloadEnd }: RtpView): FrameSize | undefined {
  const sps = nalParts(buffer, payloadStart, payloadEnd).find(({ type, begins }) => type === NAL_SPS && begins);
  return sps && spsSize(buffer, sps.start, sps.end);
}

/** Most bytes before the size, scaling lists included. */
const MAX_SPS_BYTES = 512;
/** Profiles with chroma_format_idc (H.264 section 7.3.2.1.1). */
const CHROMA_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

/** H.264 section 7.3.2.1.1, seq_parameter_set_data after the NAL unit's header. */
function spsSize(buffer: Buffer, start: number, end: number): FrameSize | undefined {
  const rbsp = withoutEmulationPrevention(buffer.subarray(start, Math.min(end, start + MAX_SPS_BYTES)));
  const bits = new BitReader(rbsp, 0, rbsp.length);
  const profile = bits.read(8);
  bits.read(16); // constraint flags, level_idc
  bits.readExpGolomb(); // seq_parameter_set_id
  if (CHROMA_PROFILES.has(profile)) {
    const chromaFormat = bits.readExpGolomb();
    if (chromaFormat === 3) bits.read(1); // separate_colour_plane_flag
    bits.readExpGolomb();
    bits.readExpGolomb(); // bit depths
    bits.read(1); // qpprime_y_zero_transform_bypass_flag
    if (bits.read(1) === 1) skipScalingLists(bits, chromaFormat === 3 ? 12 : 8);
  }
  bits.readExpGolomb(); // log2_max_frame_num_minus4
  const pocType = bits.readExpGolomb();
  if (pocType === 0) bits.readExpGolomb();
  else if (pocType === 1) {
    bits.read(1);
    bits.readExpGolomb();
    bits.readExpGolomb();
    const cycle = bits.readExpGolomb();
    for (let i = 0; i < cycle && !bits.overrun; i++) bits.readExpGolomb();
  }
  bits.readExpGolomb(); // max_num_ref_frames
  bits.read(1); // gaps_in_frame_num_value_allowed_flag
  const widthInMbs = bits.readExpGolomb() + 1;
  const heightInMapUnits = bits.readExpGolomb() + 1;
  const frameMbsOnly = bits.read(1);
  if (frameMbsOnly === 0) bits.read(1);
  // Cropping is ignored: it removes too few samples to matter for the order of layers.
  return bits.overrun ? undefined : { width: widthInMbs * 16, height: heightInMapUnits * 16 * (2 - frameMbsOnly) };
}

function skipScalingLists(bits: BitReader, count: number): void {
  for (let list = 0; list < count && !bits.overrun; list++) {
    if (bits.read(1) === 0) continue;
    let next = 8;
    for (let i = 0; i < (list < 6 ? 16 : 64) && next !== 0 && !bits.overrun; i++)
      next = (next + bits.readSignedExpGolomb() + 256) % 256;
  }
}

/** H.264 section 7.4.1: 00 00 03 stands for 00 00. */
function withoutEmulationPrevention(bytes: Buffer): Buffer {
  const out = Buffer.alloc(bytes.length);
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out[length++] = byte;
  }
  return out.subarray(0, length);
}
