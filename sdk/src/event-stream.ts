/** One server-sent event (WHATWG HTML, section 9.2). */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

export interface EventStreamListener {
  /** Called each time the connection is open; `redial` closes it and opens a new one. */
  onOpen?(redial: () => void): void;
  /** Called each time the connection cannot be opened or is lost early. `unanswered`: the request timed out without an answer. */
  onLost?(unanswered: boolean): void;
}

export interface EventStreamTimes {
  /** Delay between two attempts. */
  readonly reconnectMs: number;
  /** Timeout of a request without an answer. */
  readonly answerMs: number;
  /** The connection may be dead after this long without a byte; nodes send a comment every 5 s. */
  readonly quietMs: number;
}

const DEFAULT_TIMES: EventStreamTimes = { reconnectMs: 1_000, answerMs: 3_000, quietMs: 12_000 };

/**
 * Server-sent events with request headers, which EventSource cannot send (the token must not be in a URL, which servers log).
 * Reconnects until `signal` aborts, the server answers that the resource is gone (4xx), or the resource's last event (`ended`) arrives.
 *
 * Reconnects at once after a lost connection, and reports it as lost only when the new attempt fails too.
 */
export async function* eventStream(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  on: EventStreamListener = {},
  times: EventStreamTimes = DEFAULT_TIMES,
): AsyncGenerator<ServerEvent> {
  while (!signal.aborted) {
    const leaving = new AbortController();
    let openedAt = Infinity;
    let unanswered = false;
    let deadline = setTimeout(() => {
      unanswered = true;
      leaving.abort();
    }, times.answerMs);
    const heard = (): void => {
      clearTimeout(deadline);
      deadline = setTimeout(() => leaving.abort(), times.quietMs);
    };
    try {
      const either = AbortSignal.any([signal, leaving.signal]);
      const response = await fetch(url, { headers: { ...headers, accept: 'text/event-stream' }, signal: either });
      if (response.status >= 400 && response.status < 500 && response.status !== 429) return;
      if (response.ok && response.body) {
        openedAt = performance.now();
        heard();
        on.onOpen?.(() => leaving.abort());
        for await (const event of parseEvents(response.body, heard)) {
          yield event;
          if (event.event === 'ended') return;
        }
      }
    } catch {
      if (signal.aborted) return;
    } finally {
      clearTimeout(deadline);
    }
    if (performance.now() - openedAt >= times.reconnectMs) continue;
    on.onLost?.(unanswered);
    await new Promise((resolve) => setTimeout(resolve, times.reconnectMs));
  }
}

/** Parses the event stream format and skips comments (keep-alives). Calls `heard` for every chunk. */
export async function* parseEvents(body: ReadableStream<Uint8Array>, heard?: () => void): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let text = '';
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard?.();
      text += decoder.decode(value, { stream: true });
      const blocks = text.split(/\r?\n\r?\n/);
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parseBlock(block);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parseBlock(block: string): ServerEvent | undefined {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (line.startsWith('event:')) event = value;
    else if (line.startsWith('data:')) data.push(value);
  }
  return data.length > 0 ? { event, data: data.join('\n') } : undefined;
}
