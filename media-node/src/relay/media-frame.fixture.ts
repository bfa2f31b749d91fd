import { FRAME_KIND_RTP, MEDIA_HEADER_BYTES, writeMediaHeader } from '@millrace/api/trunk';
import { rtpPacket, type PacketFields } from '@millrace/testkit/rtp';

/** A media frame for tests. */
export function mediaFrame(
  fields: { epoch?: number; track?: number; layer?: number; seq?: number; marks?: number; rtp?: PacketFields } = {},
): Buffer {
  const { epoch = 1, track = 0, layer = 0, seq = 0, marks = 0 } = fields;
  const packet = rtpPacket({ seq, payload: [1], ...fields.rtp });
  const frame = Buffer.concat([Buffer.alloc(MEDIA_HEADER_BYTES), packet]);
  writeMediaHeader(frame, { kind: FRAME_KIND_RTP, epoch, track, layer, seq, marks });
  return frame;
}
