export interface Tries<T> {
  readonly done: readonly T[];
  /** The error message of each failed attempt. */
  readonly failed: readonly string[];
}

/** Runs attempts one after the other. A failed attempt is reported, and the following ones still run. */
export async function tryEach<T>(
  count: number,
  attempt: (index: number) => Promise<T>,
  say: (line: string) => void = () => {},
): Promise<Tries<T>> {
  const done: T[] = [];
  const failed: string[] = [];
  for (let i = 0; i < count; i++) {
    try {
      done.push(await attempt(i));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failed.push(reason);
      say(`try ${i + 1} of ${count} failed: ${reason}`);
    }
  }
  return { done, failed };
}

/** Returns lines for the conditions of a figure: each reason once, with its count. */
export function failureLines(what: string, failed: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const reason of failed) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, count]) => `failed, ${what}: ${reason}${count > 1 ? ` (${count} times)` : ''}`);
}
