import type { Socket } from 'node:dgram';
import { receiverReport } from '@millrace/testkit/media';

/** RFC 3550 section 6.2. */
const INTERVAL_MS = 5000;

/** Where a viewer reports to, and from which local port. */
export interface ReportedSession {
  readonly from: number;
  readonly ip: string;
  readonly port: number;
}

/** Sends packets for many viewers so that their node sees that they live. With SRTP the node cannot read them, but any packet counts. */
export class Reporting {
  readonly #sockets = new Map<number, Socket>();
  readonly #sessions = new Map<string, ReportedSession>();

  constructor() {
    setInterval(() => this.#sessions.forEach((session) => this.#send(session)), INTERVAL_MS);
  }

  use(socket: Socket): void {
    this.#sockets.set(socket.address().port, socket);
  }

  add(session: ReportedSession): void {
    this.#sessions.set(keyOf(session), session);
    this.#send(session);
  }

  remove(session: ReportedSession): void {
    this.#sessions.delete(keyOf(session));
  }

  #send({ from, ip, port }: ReportedSession): void {
    this.#sockets.get(from)?.send(receiverReport(0), port, ip);
  }
}

function keyOf({ ip, port }: ReportedSession): string {
  return `${ip} ${port}`;
}
