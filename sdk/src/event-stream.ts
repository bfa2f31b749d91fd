/** One server-sent event (WHATWG HTML, section 9.2). */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

const RECONNECT_MS = 1_000;

/**
 * Server-sent events with request headers, which EventSource cannot send (the token must not stand in a URL, where logs keep it).
 * Reconnects until `signal` aborts, the server answers that the resource is gone (4xx), or the resource's last event (`ended`) came.
 *
 * A connection that is cut is made again at once; only when that fails too the server is in doubt. `onOpen` is called each time that the connection stands,
 * `onLost` each time that it cannot be made, or does not hold.
 */
export async function* eventStream(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  on: { onOpen?: () => void; onLost?: () => void } = {},
): AsyncGenerator<ServerEvent> {
  while (!signal.aborted) {
    let openedAt = Infinity;
    try {
      const response = await fetch(url, { headers: { ...headers, accept: 'text/event-stream' }, signal });
      if (response.status >= 400 && response.status < 500 && response.status !== 429) return;
      if (response.ok && response.body) {
        openedAt = performance.now();
        on.onOpen?.();
        for await (const event of parseEvents(response.body)) {
          yield event;
          if (event.event === 'ended') return;
        }
      }
    } catch {
      if (signal.aborted) return;
    }
    if (performance.now() - openedAt >= RECONNECT_MS) continue;
    on.onLost?.();
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

/** Parses the event stream format; comments (keep-alives) are passed over. */
export async function* parseEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let text = '';
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
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
