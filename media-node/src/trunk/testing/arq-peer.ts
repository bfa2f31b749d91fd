import { Arq, type ArqSettings } from '../arq/arq.ts';
import type { SendConversation } from '../arq/sender.ts';
import { DEFAULT_TRUNK_SETTINGS } from '../settings.ts';

const DATAGRAM = 1200;
const MAX_PAYLOAD = DATAGRAM - 24;

/** A minimal host for an Arq that speaks plain KCP: datagrams of segments and nothing else. */
export class ArqPeer {
  readonly arq: Arq;
  readonly control: string[] = [];
  readonly media: { conversation: number; text: string; atMs: number }[] = [];
  nowMs = 0;
  private readonly waiting: { conversation: number; payload: Buffer; deadlineMs: number }[] = [];
  private readonly retransmissions: { conversation: SendConversation; serial: number }[] = [];

  constructor(settings: Partial<ArqSettings> = {}) {
    this.arq = new Arq({ ...DEFAULT_TRUNK_SETTINGS.kcp, ...settings }, MAX_PAYLOAD, {
      onControl: (message) => this.control.push(message.toString()),
      onMedia: (conversation, payload) => this.media.push({ conversation, text: payload.toString(), atMs: this.nowMs }),
      retransmit: (conversation, serial) => this.retransmissions.push({ conversation, serial }) > 0,
    });
  }

  sendMedia(conversation: number, text: string, deadlineMs = Infinity): void {
    this.waiting.push({ conversation, payload: Buffer.from(text), deadlineMs });
  }

  receive(datagram: Buffer, nowMs: number): boolean {
    this.nowMs = nowMs;
    return this.arq.receive(Buffer.from(datagram), nowMs);
  }

  /** The datagrams that it sends now: one segment each, except for acknowledgements. */
  poll(nowMs: number): Buffer[] {
    this.nowMs = nowMs;
    const { arq } = this;
    arq.service(nowMs);
    const datagrams: Buffer[] = [];
    const add = (write: (out: Buffer) => number): void => {
      const out = Buffer.alloc(DATAGRAM);
      arq.beginDatagram(nowMs);
      const end = write(out);
      if (end > 0) datagrams.push(out.subarray(0, end));
    };
    while (arq.hasDueAcknowledgements(nowMs)) add((out) => arq.writeAcknowledgements(out, 0, DATAGRAM, nowMs));
    while (arq.nextControlBytes(nowMs) > 0) add((out) => arq.writeControl(out, 0, nowMs));
    for (const { conversation, payload, deadlineMs } of this.waiting.splice(0)) {
      add((out) => arq.writeMedia(conversation, payload, deadlineMs, out, 0, nowMs));
    }
    for (const { conversation, serial } of this.retransmissions.splice(0)) {
      if (conversation.isOutstanding(serial)) add((out) => arq.writeRetransmission(conversation, serial, out, 0, nowMs));
    }
    return datagrams;
  }
}
