import { CONTROL_TLS_SECRET } from '@millrace/api';

export const FIELD_MANAGER = 'millrace-control-tls';
/** Secret of control's certificate and key; with ca.crt, so that clients beside the nodes find it. */
export const SERVING_SECRET = CONTROL_TLS_SECRET;
/** Secret of the certificate authority and its key, which nobody but the operator needs. */
export const AUTHORITY_SECRET = 'millrace-control-ca';
/** ConfigMap of the authorities that nodes trust, under ca.crt. */
export const TRUST_CONFIG_MAP = 'millrace-control-ca';
/** On what the operator made and may change. Objects of these names without it are somebody else's. */
export const OWN_LABEL = { key: 'app.kubernetes.io/managed-by', value: 'millrace-operator' } as const;

const SERVICE = 'millrace-control';

/** The names that control's certificate is for: its Service as pods of any namespace call it, and the host of the URL that nodes dial. */
export function certificateNames(controlUrl: string, namespace: string): string[] {
  const host = new URL(controlUrl).hostname.replace(/^\[|\]$/g, '');
  const services = new Set([SERVICE, ...(/^[a-z0-9-]+$/i.test(host) ? [host] : [])]);
  const names = [...services].flatMap((service) => [
    service,
    `${service}.${namespace}`,
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.cluster.local`,
  ]);
  return [...new Set([...names, host])];
}
