interface Arrival<T> {
  atMs: number;
  order: number;
  what: T;
}

/** Datagrams in flight by time of arrival (a binary heap). Datagrams with equal times keep the order in which they were added. */
export class Arrivals<T> {
  readonly #heap: Arrival<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest arrival, ms; Infinity when nothing is in flight. */
  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  add(atMs: number, what: T): void {
    const heap = this.#heap;
    const arrival = { atMs, order: this.#order++, what };
    let index = heap.length;
    heap.push(arrival);
    for (let parent = (index - 1) >> 1; index > 0 && before(arrival, heap[parent]!); parent = (index - 1) >> 1) {
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = arrival;
  }

  /** Removes and returns the first arrival that is due. */
  take(nowMs: number): Arrival<T> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (!first || first.atMs > nowMs) return undefined;
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(arrival: Arrival<T>): void {
    const heap = this.#heap;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, arrival)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = arrival;
  }
}

function before(a: Arrival<unknown>, b: Arrival<unknown>): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
