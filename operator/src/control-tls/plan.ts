import type {
  Authority,
  AuthorityFacts,
  ControlTlsObservation,
  ControlTlsPlan,
  Observed,
  ServingFacts,
  ValidityPlan,
} from './model.ts';
import { AUTHORITY_SECRET, SERVING_SECRET, TRUST_CONFIG_MAP } from './names.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const AUTHORITY_LIFE_MS = 3650 * DAY_MS;
export const SERVING_LIFE_MS = 90 * DAY_MS;
/** The part of a life after which it is renewed. */
const RENEW_AT = 2 / 3;
/** How far in the past a certificate begins, ms: clocks of hosts differ. */
export const BACKDATED_MS = HOUR_MS;
/**
 * How long nodes are given to read an authority before control shows a certificate that it signed, ms. The kubelet brings a ConfigMap into
 * pods within a few minutes; a day also covers a host that is cut off from the API for a while.
 */
export const OVERLAP_MS = DAY_MS;
/** How often the objects are looked at, ms: somebody may have changed or deleted them. */
export const RECHECK_MS = 60_000;

/** Plans which certificates to create and which authorities nodes trust. Equal input gives an equal plan. */
export function planControlTls(observation: ControlTlsObservation): ControlTlsPlan {
  const { authority, serving, published, nowMs } = observation;
  const foreign = [
    ...(authority.state === 'foreign' ? [`Secret ${AUTHORITY_SECRET}`] : []),
    ...(published.state === 'foreign' ? [`ConfigMap ${TRUST_CONFIG_MAP}`] : []),
    ...(serving.state === 'foreign' ? [`Secret ${SERVING_SECRET}`] : []),
  ];
  // What is somebody else's is neither changed nor mixed with own parts: nodes would trust one and meet the other.
  if (foreign.length > 0)
    return { createAuthority: undefined, earlier: [], forgetEnded: false, issue: undefined, foreign, requeueAfterMs: RECHECK_MS };
  const createAuthority = authorityToCreate(authority, nowMs);
  const { current, known } = trusted(authority);
  const lasting = known.filter(({ endsMs }) => endsMs > nowMs);
  const earlier = createAuthority ? lasting : lasting.filter((one) => one !== current);
  return {
    createAuthority,
    earlier: earlier.map(({ pem }) => pem),
    forgetEnded: !createAuthority && lasting.length < known.length,
    issue: certificateToIssue(observation, createAuthority, current),
    foreign,
    requeueAfterMs: RECHECK_MS,
  };
}

function trusted(authority: Observed<AuthorityFacts>): { current: Authority | undefined; known: readonly Authority[] } {
  if (authority.state !== 'usable') return { current: undefined, known: [] };
  const { current, earlier } = authority.value;
  return { current, known: [current, ...earlier] };
}

function authorityToCreate(authority: Observed<AuthorityFacts>, nowMs: number): ValidityPlan | undefined {
  const why = whyNewAuthority(authority, nowMs);
  return why === undefined ? undefined : { fromMs: nowMs - BACKDATED_MS, toMs: nowMs + AUTHORITY_LIFE_MS, why };
}

function whyNewAuthority(authority: Observed<AuthorityFacts>, nowMs: number): string | undefined {
  if (authority.state === 'missing') return 'there is none';
  if (authority.state === 'unusable') return authority.why;
  if (authority.state === 'usable' && isDue(authority.value.current, nowMs)) return 'two thirds of its life are over';
  return undefined;
}

function certificateToIssue(
  { serving, names, nowMs }: ControlTlsObservation,
  createAuthority: ValidityPlan | undefined,
  current: Authority | undefined,
): ControlTlsPlan['issue'] {
  const why = whyNewCertificate(serving, nowMs);
  if (why === undefined) return undefined;
  const signerSinceMs = createAuthority ? nowMs : (current?.fromMs ?? nowMs) + BACKDATED_MS;
  const signerEndsMs = createAuthority?.toMs ?? current?.endsMs ?? nowMs;
  if (canWait(serving, nowMs) && nowMs - signerSinceMs < OVERLAP_MS) return undefined;
  return { fromMs: nowMs - BACKDATED_MS, toMs: Math.min(nowMs + SERVING_LIFE_MS, signerEndsMs), names, why };
}

function whyNewCertificate(serving: Observed<ServingFacts>, nowMs: number): string | undefined {
  if (serving.state === 'missing') return 'there is none';
  if (serving.state === 'unusable') return serving.why;
  if (serving.state === 'foreign') return undefined;
  const { value } = serving;
  if (value.signedBy === 'none') return 'no authority that nodes trust signed it';
  if (value.missingNames.length > 0) return `it is not for ${value.missingNames.join(', ')}`;
  return isDue(value, nowMs) ? 'two thirds of its life are over' : undefined;
}

/** Whether control can go on with a certificate of an earlier authority until nodes know the new one. */
function canWait(serving: Observed<ServingFacts>, nowMs: number): boolean {
  return serving.state === 'usable' && serving.value.signedBy === 'earlier' && serving.value.endsMs - nowMs > 2 * OVERLAP_MS;
}

function isDue({ fromMs, endsMs }: { fromMs: number; endsMs: number }, nowMs: number): boolean {
  return nowMs >= fromMs + RENEW_AT * (endsMs - fromMs);
}
