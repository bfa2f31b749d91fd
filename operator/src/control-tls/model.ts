import type { KeyPair } from '@millrace/service/certificates';

/** A certificate in a plan. Times are ms since the epoch. */
export interface Authority {
  readonly pem: string;
  readonly fromMs: number;
  readonly endsMs: number;
}

/** A Secret as the plan sees it. */
export type Observed<T> =
  | { readonly state: 'missing' }
  /** It exists and the operator did not make it. */
  | { readonly state: 'foreign' }
  /** The operator's, but damaged. */
  | { readonly state: 'unusable'; readonly why: string }
  | { readonly state: 'usable'; readonly value: T };

export interface ServingFacts {
  readonly fromMs: number;
  readonly endsMs: number;
  /** Names that it should be for and is not. */
  readonly missingNames: readonly string[];
  /** Which of the authorities that nodes trust signed it. */
  readonly signedBy: 'current' | 'earlier' | 'none';
}

export interface AuthorityFacts {
  /** The one that signs. */
  readonly current: Authority;
  /** Earlier ones, which signed what may still be in use. */
  readonly earlier: readonly Authority[];
}

export interface ControlTlsObservation {
  /** ms since the epoch. */
  readonly nowMs: number;
  /** What control's certificate must be for. */
  readonly names: readonly string[];
  readonly authority: Observed<AuthorityFacts>;
  readonly serving: Observed<ServingFacts>;
  /** ca.crt of the ConfigMap. */
  readonly published: Observed<string>;
}

export interface ValidityPlan {
  readonly fromMs: number;
  readonly toMs: number;
  /** Why, for the log. */
  readonly why: string;
}

export interface ControlTlsPlan {
  /** Create an authority that signs from now on. */
  readonly createAuthority: ValidityPlan | undefined;
  /** Earlier authorities that nodes go on trusting, in PEM. */
  readonly earlier: readonly string[];
  /** Whether the Secret of the authority must be written although it keeps its key, because an earlier one has ended. */
  readonly forgetEnded: boolean;
  /** Issue a certificate for control; after the authorities that nodes trust are published. */
  readonly issue: (ValidityPlan & { readonly names: readonly string[] }) | undefined;
  /** Objects of these kinds and names are somebody else's, and stay as they are. */
  readonly foreign: readonly string[];
  readonly requeueAfterMs: number;
}

/** What the Secret of the authority holds. */
export interface AuthorityKeys {
  readonly current: KeyPair;
  readonly earlier: readonly string[];
}
