const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const PAYLOAD_FEEDBACK = 206;
const FORMAT_PLI = 1;
const FORMAT_FIR = 4;

/** NTP time as on the wire (RFC 3550 section 4): seconds since 1900 and 2^-32 fractions of one. */
export interface SenderReport {
  ssrc: number;
  ntpSeconds: number;
  ntpFraction: number;
  rtpTimestamp: number;
}

interface ReceptionReport {
  reporter: number;
  ssrc: number;
  /** Since the last report, 0..1. */
  fractionLost: number;
  cumulativeLost: number;
  highestSeq: number;
  jitter: number;
  lastSenderReport: number;
  delaySinceLastSenderReport: number;
}

export interface RtcpReader {
  senderReport?(report: SenderReport): void;
  receptionReport?(report: ReceptionReport): void;
  /** PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1) for this media SSRC. */
  keyframeRequest?(ssrc: number): void;
}

/**
 * Reads a compound packet; packets without a callback are skipped. Returns false at the first packet that is truncated or of another version; those
 * before it have been read.
 */
export function readRtcp(buffer: Buffer, reader: RtcpReader): boolean {
  let at = 0;
  while (at < buffer.length) {
    if (at + 4 > buffer.length || buffer[at]! >> 6 !== 2) return false;
    const end = at + 4 + buffer.readUInt16BE(at + 2) * 4;
    if (end > buffer.length) return false;
    readPacket(buffer, at, end, reader);
    at = end;
  }
  return true;
}

function readPacket(buffer: Buffer, at: number, end: number, reader: RtcpReader): void {
  const count = buffer[at]! & 0x1f;
  switch (buffer[at + 1]!) {
    case SENDER_REPORT:
      if (at + 28 > end) return;
      reader.senderReport?.({
        ssrc: buffer.readUInt32BE(at + 4),
        ntpSeconds: buffer.readUInt32BE(at + 8),
        ntpFraction: buffer.readUInt32BE(at + 12),
        rtpTimestamp: buffer.readUInt32BE(at + 16),
      });
      return readBlocks(buffer, at, at + 28, end, count, reader);
    case RECEIVER_REPORT:
      return readBlocks(buffer, at, at + 8, end, count, reader);
    case PAYLOAD_FEEDBACK:
      return readFeedback(buffer, at, end, count, reader);
    default:
  }
}

function readBlocks(buffer: Buffer, packet: number, first: number, end: number, count: number, reader: RtcpReader): void {
  if (!reader.receptionReport) return;
  for (let i = 0, at = first; i < count && at + 24 <= end; i++, at += 24) {
    reader.receptionReport({
      reporter: buffer.readUInt32BE(packet + 4),
      ssrc: buffer.readUInt32BE(at),
      fractionLost: buffer[at + 4]! / 256,
      cumulativeLost: buffer.readIntBE(at + 5, 3),
      highestSeq: buffer.readUInt32BE(at + 8),
      jitter: buffer.readUInt32BE(at + 12),
      lastSenderReport: buffer.readUInt32BE(at + 16),
      delaySinceLastSenderReport: buffer.readUInt32BE(at + 20),
    });
  }
}

function readFeedback(buffer: Buffer, at: number, end: number, format: number, reader: RtcpReader): void {
  if (at + 12 > end) return;
  if (format === FORMAT_PLI) reader.keyframeRequest?.(buffer.readUInt32BE(at + 8));
  if (format !== FORMAT_FIR) return;
  // RFC 5104: the media SSRC of the header is unused; each entry names its own.
  for (let entry = at + 12; entry + 8 <= end; entry += 8) reader.keyframeRequest?.(buffer.readUInt32BE(entry));
}

/** A sender report without reception blocks. */
export function writeSenderReport(report: SenderReport & { packets: number; octets: number }): Buffer {
  const packet = Buffer.allocUnsafe(28);
  packet[0] = 0x80;
  packet[1] = SENDER_REPORT;
  packet.writeUInt16BE(6, 2);
  packet.writeUInt32BE(report.ssrc, 4);
  packet.writeUInt32BE(report.ntpSeconds, 8);
  packet.writeUInt32BE(report.ntpFraction, 12);
  packet.writeUInt32BE(report.rtpTimestamp, 16);
  packet.writeUInt32BE(report.packets >>> 0, 20);
  packet.writeUInt32BE(report.octets >>> 0, 24);
  return packet;
}

/** A Picture Loss Indication. */
export function writePli(senderSsrc: number, mediaSsrc: number): Buffer {
  const packet = Buffer.allocUnsafe(12);
  packet[0] = 0x80 | FORMAT_PLI;
  packet[1] = PAYLOAD_FEEDBACK;
  packet.writeUInt16BE(2, 2);
  packet.writeUInt32BE(senderSsrc, 4);
  packet.writeUInt32BE(mediaSsrc, 8);
  return packet;
}
