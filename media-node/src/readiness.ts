import { MAX_PROBLEM_CHARACTERS, MAX_PROBLEMS } from '@millrace/api';
import type { Readiness } from '@millrace/service';
import type { AnnouncedAddresses } from './addresses/index.ts';
import type { ControlChannel } from './channel/index.ts';
import type { MediaCores } from './media/index.ts';

export interface ReadinessInputs {
  channel: Pick<ControlChannel, 'settings' | 'state'>;
  cores: Pick<MediaCores, 'alive' | 'failing'>;
  addresses: Pick<AnnouncedAddresses, 'current' | 'problems'>;
  /** How many media workers the node should have. */
  workers: number;
}

/** A node that has heard from control once stays ready while control is away, with a reason that says so. */
export function judgeReadiness({ channel, cores, addresses, workers }: ReadinessInputs): Readiness {
  const missing: string[] = [];
  if (!channel.settings) missing.push('nothing heard from control yet');
  if (cores.alive < workers) missing.push(`${workers - cores.alive} media workers are being replaced`);
  const { failing } = cores;
  if (failing.length > 0) missing.push(`media workers of core ${failing.join(', ')} die again and again`);
  const degraded = channel.state === 'connected' ? [] : ['control cannot be reached; going on with its last settings'];
  const hasWorkers = workers === 0 || cores.alive > 0;
  const hasAddress = addresses.current.length > 0;
  const ok = channel.settings !== undefined && hasWorkers && failing.length === 0 && hasAddress;
  return { ok, reasons: [...missing, ...addresses.problems, ...degraded] };
}

/** The reasons as control is told them: a bounded number, each of one line. */
export function problemsOf({ reasons }: Readiness): string[] {
  return reasons
    .slice(0, MAX_PROBLEMS)
    .map((reason) => reason.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').slice(0, MAX_PROBLEM_CHARACTERS));
}
