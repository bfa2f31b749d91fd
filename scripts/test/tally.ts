export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** Prints the last line of a run and sets the exit status: 1 when something failed, or nothing ran. */
export function closingLine(tallies: readonly Tally[]): void {
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0);
  const [passed, failed, skipped] = [sum((t) => t.passed), sum((t) => t.failed), sum((t) => t.skipped)];
  process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
