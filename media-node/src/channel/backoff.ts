import { AgentClose } from '@millrace/api';

const FIRST_MS = 250;
const LONGEST_MS = 5000;
/** Where another try soon cannot help: a newer process of this node runs, or the protocol is not spoken. */
const SLOW_MS = 15_000;

/** How long to wait before the dial after `failures` in a row, jittered so that nodes do not come back all at once. `random` in [0, 1). */
export function redialAfterMs(failures: number, closeCode: number | undefined, random: () => number): number {
  const slow = closeCode === AgentClose.replaced || closeCode === AgentClose.protocolUnsupported;
  const longest = slow ? SLOW_MS : Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10));
  return longest * (0.5 + random() / 2);
}
