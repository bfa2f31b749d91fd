/** RTP packets for tests. */
export interface PacketFields {
  payloadType?: number;
  seq?: number;
  timestamp?: number;
  ssrc?: number;
  marker?: boolean;
  csrcs?: number[];
  /** Header extensions by id (RFC 8285), in the one-byte form unless `twoByte` is set. */
  extensions?: Record<number, Uint8Array>;
  twoByte?: boolean;
  padding?: number;
  payload?: Uint8Array | number[];
}

export function rtpPacket(fields: PacketFields): Buffer {
  const csrcs = fields.csrcs ?? [];
  const head = Buffer.alloc(12 + csrcs.length * 4);
  head[0] = 0x80 | (fields.padding ? 0x20 : 0) | (fields.extensions ? 0x10 : 0) | csrcs.length;
  head[1] = (fields.marker ? 0x80 : 0) | (fields.payloadType ?? 96);
  head.writeUInt16BE((fields.seq ?? 0) & 0xffff, 2);
  head.writeUInt32BE((fields.timestamp ?? 0) >>> 0, 4);
  head.writeUInt32BE((fields.ssrc ?? 1) >>> 0, 8);
  csrcs.forEach((csrc, index) => head.writeUInt32BE(csrc, 12 + index * 4));
  const padding = Buffer.alloc(fields.padding ?? 0);
  if (padding.length > 0) padding[padding.length - 1] = padding.length;
  return Buffer.concat([head, extensionBlock(fields), Buffer.from(fields.payload ?? []), padding]);
}

function extensionBlock(fields: PacketFields): Buffer {
  if (!fields.extensions) return Buffer.alloc(0);
  const elements = Object.entries(fields.extensions).map(([id, value]) =>
    Buffer.concat([
      fields.twoByte ? Buffer.from([Number(id), value.length]) : Buffer.from([(Number(id) << 4) | (value.length - 1)]),
      value,
    ]),
  );
  const body = Buffer.concat(elements);
  const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(fields.twoByte ? 0x1000 : 0xbede, 0);
  head.writeUInt16BE(padded.length / 4, 2);
  return Buffer.concat([head, padded]);
}

/** The payload of an H.264 packet. The first packet of a keyframe is a STAP-A with SPS and PPS, as encoders send it. */
export function h264Payload(kind: 'keyframe' | 'delta' | 'idr', bytes = 20): Buffer {
  const body = Buffer.alloc(bytes, 0x11);
  if (kind === 'keyframe') return Buffer.concat([Buffer.from([0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce]), body]);
  return Buffer.concat([Buffer.from([kind === 'idr' ? 0x65 : 0x41]), body]);
}

/** Parameter sets of x264: High profile, 1280x720. */
export const SPS = Buffer.from('Z2QAH6zZQFAFuwEQAAADABAAAAMDwPGDGWA=', 'base64');
export const PPS = Buffer.from('aOvjyyLA', 'base64');
export const SPROP = `${SPS.toString('base64')},${PPS.toString('base64')}`;
/** The first slice of an IDR picture with PPS 0: first_mb_in_slice 0, slice_type 7. */
export const idr = (bytes = 40): Buffer => Buffer.concat([Buffer.from([0x65, 0x88, 0x84]), Buffer.alloc(bytes, 0x21)]);
/** The first slice of a P picture. */
export const slice = (bytes = 40): Buffer => Buffer.concat([Buffer.from([0x41, 0x9a, 0x84]), Buffer.alloc(bytes, 0x21)]);
