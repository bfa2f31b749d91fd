import { TRUST_CONFIG_MAP } from './names.ts';

/** How nodes tell that control is control. */
export type ControlTrust =
  /** ws://: they do not. */
  | { readonly kind: 'plain' }
  /** The operator keeps an authority and a certificate for control. */
  | { readonly kind: 'managed' }
  /** Somebody else does; nodes trust the ConfigMap's ca.crt, or without one the authorities that Node knows. */
  | { readonly kind: 'own'; readonly configMap?: string | undefined };

export interface TrustSettings {
  controlUrl: string;
  /** ConfigMap whose ca.crt signs control's certificate. */
  controlCa?: string | undefined;
  controlCertificate?: 'managed' | 'own' | undefined;
}

export function controlTrust({ controlUrl, controlCa, controlCertificate = 'managed' }: TrustSettings): ControlTrust {
  if (!controlUrl.startsWith('wss:')) return { kind: 'plain' };
  if (controlCa !== undefined || controlCertificate === 'own') return { kind: 'own', configMap: controlCa };
  return { kind: 'managed' };
}

/** The ConfigMap that pods of nodes mount. */
export function trustConfigMap(trust: ControlTrust): string | undefined {
  switch (trust.kind) {
    case 'plain':
      return undefined;
    case 'managed':
      return TRUST_CONFIG_MAP;
    case 'own':
      return trust.configMap;
  }
}
