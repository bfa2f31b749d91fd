/** Something that has one next due time. Only the heap writes the fields. */
export interface Timed {
  dueMs: number;
  heapIndex: number;
}

/** Binary heap of due times whose entries can be moved; an endpoint's single source of what is due next. */
export class TimerHeap<T extends Timed> {
  private readonly items: T[] = [];

  get first(): T | undefined {
    return this.items[0];
  }

  /** Sets when the item is due, ms; Infinity removes it. */
  set(item: T, dueMs: number): void {
    const held = item.heapIndex >= 0;
    item.dueMs = dueMs;
    if (dueMs === Infinity) {
      if (held) this.remove(item);
      return;
    }
    if (!held) {
      item.heapIndex = this.items.length;
      this.items.push(item);
    }
    this.up(item.heapIndex);
    this.down(item.heapIndex);
  }

  private remove(item: T): void {
    const index = item.heapIndex;
    const last = this.items.pop()!;
    item.heapIndex = -1;
    if (last === item) return;
    this.place(last, index);
    this.up(index);
    this.down(last.heapIndex);
  }

  private up(index: number): void {
    const item = this.items[index]!;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.items[parent]!.dueMs <= item.dueMs) break;
      this.place(this.items[parent]!, index);
      index = parent;
    }
    this.place(item, index);
  }

  private down(index: number): void {
    const item = this.items[index]!;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.items.length) break;
      if (child + 1 < this.items.length && this.items[child + 1]!.dueMs < this.items[child]!.dueMs) child++;
      if (this.items[child]!.dueMs >= item.dueMs) break;
      this.place(this.items[child]!, index);
      index = child;
    }
    this.place(item, index);
  }

  private place(item: T, index: number): void {
    this.items[index] = item;
    item.heapIndex = index;
  }
}
