import type { ConfigMap } from '@millrace/kube';
import { AUTHORITY_SECRET, SERVING_SECRET, TRUST_CONFIG_MAP } from './names.ts';
import { authoritiesIn } from './observe.ts';
import type { ControlTrust } from './trust.ts';
import type { TrustVerdict } from './verdicts.ts';

/** Reasons of the condition ResolvedRefs. */
const REASON = {
  notFound: 'ControlCaNotFound',
  invalid: 'ControlCaInvalid',
  foreign: 'ControlCertificateNotOwned',
  refused: 'ControlCertificateRefused',
  unreadable: 'ControlCaUnreadable',
} as const;

/** The ConfigMap that --control-ca names. */
export function judgeOwnConfigMap(name: string, configMap: ConfigMap | undefined): TrustVerdict {
  const no = (reason: string, message: string): TrustVerdict => ({ ok: false, status: 'False', reason, message });
  if (!configMap) {
    const message = `ConfigMap ${name}, by which nodes verify control, does not exist in this namespace, and pods of new nodes wait for it: create it with the CA of control's certificate under ca.crt, or start the operator without --control-ca`;
    return no(REASON.notFound, message);
  }
  if (authoritiesIn(configMap.data?.['ca.crt'] ?? '').length > 0) return { ok: true };
  const message = `ConfigMap ${name}, by which nodes verify control, holds no certificate in PEM under ca.crt: nodes cannot connect to control until it does`;
  return no(REASON.invalid, message);
}

export function judgeForeign(foreign: readonly string[]): TrustVerdict {
  const message = `The operator did not create ${foreign.join(', ')} and leaves it alone, so control's certificate is not kept: delete it, or start the operator with --control-certificate=own and name its CA by --control-ca`;
  return { ok: false, status: 'False', reason: REASON.foreign, message };
}

export function judgeRefusal(trust: ControlTrust, why: string): TrustVerdict {
  if (trust.kind === 'managed') {
    const message = `The API refuses Secret ${AUTHORITY_SECRET}, Secret ${SERVING_SECRET} or ConfigMap ${TRUST_CONFIG_MAP} for control's certificate; deploy/rbac/operator.yaml has the rights that the operator needs: ${why}`;
    return { ok: false, status: 'False', reason: REASON.refused, message };
  }
  const name = trust.kind === 'own' ? trust.configMap : undefined;
  const message = `Whether ConfigMap ${name} exists is unknown; let the operator get it (deploy/rbac/operator.yaml): ${why}`;
  return { ok: false, status: 'Unknown', reason: REASON.unreadable, message };
}
