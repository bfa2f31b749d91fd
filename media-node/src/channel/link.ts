import { readFile } from 'node:fs/promises';
import {
  AGENT_MAX_MESSAGE_BYTES,
  AGENT_SUBPROTOCOL,
  ControlMessage,
  helloPages,
  type Hello,
  type NodeMessage,
} from '@millrace/api';
import type { Clock, Logger, Timer } from '@millrace/service';
import { WebSocket } from 'ws';

export type Welcome = Extract<ControlMessage, { type: 'welcome' }>;

export interface LinkOptions {
  url: string;
  /** Read at each dial: the kubelet replaces the projected token before it expires. */
  tokenFile: string;
  /** PEM file with the CAs that may sign control's certificate, read at each dial; absent: Node's own. */
  caFile?: string | undefined;
  hello: () => Hello;
  clock: Clock;
  logger: Logger;
  onWelcome: (welcome: Welcome) => void;
  onMessage: (message: ControlMessage) => void;
  /** Once; `welcomed`: whether it ever worked. */
  onClose: (code: number, reason: string, welcomed: boolean) => void;
}

const DIAL_WITHIN_MS = 5000;
const WELCOME_WITHIN_MS = 10_000;
const MISSED_HEARTBEATS = 3;

/** One connection to control, from dial to close. */
export class ControlLink {
  readonly #options: LinkOptions;
  #socket: WebSocket | undefined;
  #welcomed = false;
  #closed = false;
  #silence: Timer | undefined;
  #patienceMs = WELCOME_WITHIN_MS;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#dial().catch((error: unknown) => this.#ended(1006, String((error as Error).message)));
  }

  /** Bytes that wait to be sent. */
  get unsentBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(message: NodeMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close(reason: string): void {
    this.#socket?.close(1000, reason);
    this.#ended(1000, reason);
  }

  async #dial(): Promise<void> {
    const { url, tokenFile, caFile, hello, clock } = this.#options;
    const token = (await readFile(tokenFile, 'utf8')).trim();
    const ca = caFile === undefined ? {} : { ca: await readFile(caFile) };
    if (this.#closed) return;
    const socket = new WebSocket(url, AGENT_SUBPROTOCOL, {
      ...ca,
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: DIAL_WITHIN_MS,
      maxPayload: AGENT_MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
    });
    this.#socket = socket;
    socket.on('open', () => {
      this.#listenForSilence();
      for (const page of helloPages(hello())) this.send(page);
    });
    socket.on('ping', () => this.#listenForSilence());
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('unexpected-response', (_request, response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text = (text + part).slice(0, 2000)));
      const report = (): void => this.#ended(1006, `refused with ${response.statusCode}: ${detailOf(text)}`);
      response.on('end', report);
      response.on('error', report);
      clock.setTimeout(report, 1000).unref();
    });
    socket.on('error', (error) => this.#ended(1006, error.message));
    socket.on('close', (code, reason) => this.#ended(code, reason.toString()));
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closed) return;
    this.#listenForSilence();
    const parsed = isBinary ? undefined : parse(data);
    if (!parsed) {
      this.#options.logger.warn('unreadable message from control');
      return;
    }
    if (parsed.type !== 'welcome') return this.#options.onMessage(parsed);
    this.#welcomed = true;
    this.#patienceMs = parsed.heartbeatMs * MISSED_HEARTBEATS;
    this.#listenForSilence();
    this.#options.onWelcome(parsed);
  }

  #listenForSilence(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#silence);
    if (this.#closed) return;
    this.#silence = clock.setTimeout(() => {
      this.#socket?.terminate();
      this.#ended(1006, this.#welcomed ? 'nothing heard from control' : 'no welcome');
    }, this.#patienceMs);
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#silence);
    if (this.#socket?.readyState === WebSocket.CONNECTING) this.#socket.terminate();
    this.#options.onClose(code, reason, this.#welcomed);
  }
}

/** Returns undefined for an unknown message, e.g. one of a later version of control. */
function parse(data: Buffer): ControlMessage | undefined {
  try {
    const parsed = ControlMessage.safeParse(JSON.parse(data.toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

function detailOf(problem: string): string {
  try {
    const { detail } = JSON.parse(problem) as { detail?: unknown };
    return typeof detail === 'string' ? detail : problem.slice(0, 200);
  } catch {
    return problem.slice(0, 200);
  }
}
