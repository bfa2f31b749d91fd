/** Whether the nodes of a namespace can verify control, for the conditions of its MediaEdges. */
export type TrustVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly status: 'False' | 'Unknown'; readonly reason: string; readonly message: string };

const OK: TrustVerdict = { ok: true };

/** The latest verdict on each namespace. What was not looked at yet counts as good: the first look follows within moments. */
export class TrustVerdicts {
  readonly #verdicts = new Map<string, TrustVerdict>();
  readonly #listeners = new Set<(namespace: string) => void>();

  get(namespace: string): TrustVerdict {
    return this.#verdicts.get(namespace) ?? OK;
  }

  set(namespace: string, verdict: TrustVerdict): void {
    const before = this.get(namespace);
    this.#verdicts.set(namespace, verdict);
    if (JSON.stringify(before) === JSON.stringify(verdict)) return;
    for (const listener of this.#listeners) listener(namespace);
  }

  forget(namespace: string): void {
    this.#verdicts.delete(namespace);
  }

  /** @returns a function that ends it */
  onChange(listener: (namespace: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
