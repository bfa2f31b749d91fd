import type { Socket } from 'node:dgram';

/** RTCP packet types (RFC 3550 section 12.1). */
const RECEIVER_REPORT = 201;
const REPORT_BYTES = 32;
/** RFC 3550 section 6.2. */
const INTERVAL_MS = 5000;

/** An RTCP receiver report with one block about a source (RFC 3550 section 6.4.2): nothing was lost. */
export function receiverReport(of: number, from = 1): Buffer {
  const report = Buffer.alloc(REPORT_BYTES);
  report[0] = 0x81; // version 2, one block
  report[1] = RECEIVER_REPORT;
  report.writeUInt16BE(REPORT_BYTES / 4 - 1, 2);
  report.writeUInt32BE(from, 4);
  report.writeUInt32BE(of, 8);
  return report;
}

/** Tells a node that the receiver of a plain RTP session lives, at once and every few seconds until the socket is closed. @returns a function that stops it */
export function sendReports(socket: Socket, to: { ip: string; port: number; ssrc?: number | undefined }): () => void {
  const send = (): void => socket.send(receiverReport(to.ssrc ?? 0), to.port, to.ip);
  const timer = setInterval(send, INTERVAL_MS);
  const stop = (): void => clearInterval(timer);
  socket.once('close', stop);
  send();
  return stop;
}
