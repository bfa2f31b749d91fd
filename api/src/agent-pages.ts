import { AGENT_PAGE_ITEMS, type ControlMessage, type Hello, type NodeMessage } from './agent.ts';

/** JSON bytes of the items of a page; the rest of its message stays below AGENT_MAX_MESSAGE_BYTES with room to spare. */
const PAGE_BYTES = 1024 * 1024;

/** Items in the order given, cut into pages that fit into a message each; one empty page for no items. */
export function pagesOf<T>(items: readonly T[]): T[][] {
  const pages: T[][] = [[]];
  let bytes = 0;
  for (const item of items) {
    const itemBytes = Buffer.byteLength(JSON.stringify(item)) + 1;
    const page = pages.at(-1)!;
    if (page.length > 0 && (bytes + itemBytes > PAGE_BYTES || page.length === AGENT_PAGE_ITEMS)) {
      pages.push([item]);
      bytes = itemBytes;
    } else {
      page.push(item);
      bytes += itemBytes;
    }
  }
  return pages;
}

type Holds = Extract<NodeMessage, { type: 'holds' }>;

/** A hello of any number of streams: the hello with the first of them, then the rest. */
export function helloPages(hello: Hello): (Hello | Holds)[] {
  const publications = pagesOf(hello.publications);
  const subscriptions = pagesOf(hello.subscriptions);
  const first = { ...hello, publications: publications[0]!, subscriptions: subscriptions[0]! };
  const rest: Holds[] = Array.from({ length: Math.max(publications.length, subscriptions.length) - 1 }, (_, i) => ({
    type: 'holds',
    publications: publications[i + 1] ?? [],
    subscriptions: subscriptions[i + 1] ?? [],
  }));
  return withMore<Hello | Holds>([first, ...rest]);
}

type SnapshotMessage = Extract<ControlMessage, { type: 'snapshot' }>;
type StreamsMessage = Extract<ControlMessage, { type: 'streams' }>;
type MoreStreams = Extract<ControlMessage, { type: 'more-streams' }>;

/** A snapshot, or changes, of any number of streams: the message with the first of them, then the rest under the same version. */
export function programPages(message: SnapshotMessage | StreamsMessage): (SnapshotMessage | StreamsMessage | MoreStreams)[] {
  const changed = pagesOf(message.type === 'snapshot' ? message.streams : message.changed);
  const removed = pagesOf(message.type === 'snapshot' ? [] : message.removed);
  const first =
    message.type === 'snapshot'
      ? { ...message, streams: changed[0]! }
      : { ...message, changed: changed[0]!, removed: removed[0]! };
  const rest: MoreStreams[] = Array.from({ length: Math.max(changed.length, removed.length) - 1 }, (_, i) => ({
    type: 'more-streams',
    version: message.version,
    changed: changed[i + 1] ?? [],
    removed: removed[i + 1] ?? [],
  }));
  return withMore<SnapshotMessage | StreamsMessage | MoreStreams>([first, ...rest]);
}

function withMore<T extends { more?: boolean | undefined }>(pages: T[]): T[] {
  return pages.map((page, i) => (i < pages.length - 1 ? { ...page, more: true } : page));
}
