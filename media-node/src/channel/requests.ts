import type { ControlMessage, NodeMessage } from '@millrace/api';
import { Problem, type Clock, type Timer } from '@millrace/service';

export type RequestMessage = Extract<NodeMessage, { type: 'publish' | 'policy' | 'resolve' | 'alternatives' }>;
export type AnswerMessage = Extract<ControlMessage, { type: 'published' | 'policy' | 'resolved' | 'alternatives' }>;
type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
export type RequestBody = WithoutId<RequestMessage>;

interface Running {
  message: RequestMessage;
  answer: (message: AnswerMessage) => void;
  fail: (problem: Problem) => void;
  timer: Timer;
}

const MAX_RUNNING = 4096;

/** Requests to control that wait for their answer; after a reconnect they are sent again (each may be repeated without harm). */
export class Requests {
  readonly #clock: Clock;
  readonly #running = new Map<number, Running>();
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects with a 503 Problem when no answer comes within `timeoutMs`. */
  run(request: RequestBody, timeoutMs: number, send: (message: RequestMessage) => void): Promise<AnswerMessage> {
    if (this.#running.size >= MAX_RUNNING) return Promise.reject(unreachable('too many requests wait for control'));
    const message = { ...request, id: ++this.#lastId };
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimeout(() => {
        this.#running.delete(message.id);
        reject(unreachable(`no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#running.set(message.id, { message, answer: resolve, fail: reject, timer });
      send(message);
    });
  }

  answered(message: AnswerMessage): void {
    const running = this.#running.get(message.id);
    if (!running) return;
    this.#running.delete(message.id);
    this.#clock.clearTimeout(running.timer);
    running.answer(message);
  }

  waiting(): RequestMessage[] {
    return [...this.#running.values()].map((running) => running.message);
  }

  failAll(detail: string): void {
    for (const running of this.#running.values()) {
      this.#clock.clearTimeout(running.timer);
      running.fail(unreachable(detail));
    }
    this.#running.clear();
  }
}

export function unreachable(detail: string): Problem {
  return new Problem(503, 'Control not reachable', { detail, headers: { 'retry-after': '2' } });
}
