import { isRtcp, RTP_FIXED_BYTES } from '../rtp/index.ts';

/** As in mediasoup's RtpStream (RFC 3550 appendix A.1): a larger step forward, or further back, is a restart. */
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 1500;
/** Publishers have few SSRCs; the least recently started one is forgotten. */
const MAX_SSRCS = 64;

/**
 * Finds the packets with which a sender starts a new sequence. mediasoup drops the first packet of a new sequence when it receives it, and
 * the first that is left when it sends it on, since only a second packet confirms the restart. With a keyframe that would lose the first
 * group of pictures. So two packets without a payload go before it, for mediasoup to drop. (After a
 * step of 3,000 or 3,001 they are no jump themselves and pass; the gate and decoders ignore them.)
 */
export class SequenceRestarts {
  /** The highest sequence number by SSRC. */
  readonly #highest = new Map<number, number>();

  /** The packets to send before this one: none, or two without a payload and with the two preceding sequence numbers. */
  before(packet: Buffer): readonly Buffer[] {
    if (packet.length < RTP_FIXED_BYTES || packet[0]! >> 6 !== 2 || isRtcp(packet)) return [];
    const ssrc = packet.readUInt32BE(8);
    const seq = packet.readUInt16BE(2);
    const highest = this.#highest.get(ssrc);
    if (highest === undefined) {
      if (this.#highest.size >= MAX_SSRCS) this.#highest.delete(this.#highest.keys().next().value!);
      this.#highest.set(ssrc, seq);
      return [];
    }
    const ahead = (seq - highest) & 0xffff;
    if (ahead > 0x1_0000 - MAX_MISORDER) return []; // a late packet
    if (ahead !== 0) this.#highest.set(ssrc, seq);
    return ahead < MAX_DROPOUT ? [] : [preceding(packet, seq - 2), preceding(packet, seq - 1)];
  }
}

function preceding(packet: Buffer, seq: number): Buffer {
  const empty = Buffer.from(packet.subarray(0, RTP_FIXED_BYTES));
  empty[0] = 0x80; // version 2, no padding, no extension, no CSRC
  empty[1]! &= 0x7f; // no marker
  empty.writeUInt16BE(seq & 0xffff, 2);
  return empty;
}
