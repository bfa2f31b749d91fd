import { AgentClose } from '@millrace/api';
import { backoffMs } from '@millrace/service';

const REDIAL = { baseMs: 250, maxMs: 5000 };
/** For closes that a quick retry cannot fix: a newer process of this node is connected, or control does not support the protocol. */
const SLOW_REDIAL = { baseMs: 15_000, maxMs: 15_000 };

/** How long to wait before the dial after `failures` in a row, jittered so that nodes do not come back all at once. `random` in [0, 1). */
export function redialAfterMs(failures: number, closeCode: number | undefined, random: () => number): number {
  const slow = closeCode === AgentClose.replaced || closeCode === AgentClose.protocolUnsupported;
  return backoffMs(slow ? SLOW_REDIAL : REDIAL, failures + 1, random);
}
