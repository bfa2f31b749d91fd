import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { ConfigMap, KubeObject, Secret } from '@millrace/kube';
import { judgeCertificate } from '@millrace/service';
import type { Authority, AuthorityFacts, Observed, ServingFacts } from './model.ts';
import { OWN_LABEL } from './names.ts';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** The text of a Secret's field; empty when it has none. */
export function textOf(secret: Secret, field: string): string {
  return Buffer.from(secret.data?.[field] ?? '', 'base64').toString();
}

export function observeAuthority(secret: Secret | undefined): Observed<AuthorityFacts> {
  return observeOwn(secret, (own) => {
    const [cert, key] = [textOf(own, 'tls.crt'), textOf(own, 'tls.key')];
    const verdict = judgeCertificate({ cert, key });
    if (!verdict.ok) return { state: 'unusable', why: verdict.why };
    const [current] = authoritiesIn(cert);
    if (!current || !new X509Certificate(cert).ca) return { state: 'unusable', why: 'tls.crt is no certificate of an authority' };
    const earlier = authoritiesIn(textOf(own, 'ca.crt')).filter(({ pem }) => pem !== current.pem);
    return { state: 'usable', value: { current, earlier } };
  });
}

export function observeServing(
  secret: Secret | undefined,
  authority: Observed<AuthorityFacts>,
  names: readonly string[],
): Observed<ServingFacts> {
  return observeOwn(secret, (own) => {
    const verdict = judgeCertificate({ cert: textOf(own, 'tls.crt'), key: textOf(own, 'tls.key') });
    if (!verdict.ok) return { state: 'unusable', why: verdict.why };
    const cert = new X509Certificate(verdict.certificate.cert);
    const missingNames = names.filter((name) => (isIP(name) ? cert.checkIP(name) : cert.checkHost(name)) === undefined);
    const { fromMs, endsMs } = verdict.certificate;
    return { state: 'usable', value: { fromMs, endsMs, missingNames, signedBy: signerOf(cert, authority) } };
  });
}

export function observePublished(configMap: ConfigMap | undefined): Observed<string> {
  return observeOwn(configMap, ({ data }) => ({ state: 'usable', value: data?.['ca.crt'] ?? '' }));
}

/** The certificates in a text, in order; what cannot be parsed is left out. */
export function authoritiesIn(text: string): Authority[] {
  return [...text.matchAll(PEM_CERTIFICATE)].flatMap(([pem]) => {
    try {
      const cert = new X509Certificate(pem);
      return [{ pem: `${pem}\n`, fromMs: cert.validFromDate.getTime(), endsMs: cert.validToDate.getTime() }];
    } catch {
      return [];
    }
  });
}

function observeOwn<O extends KubeObject, T>(object: O | undefined, observe: (own: O) => Observed<T>): Observed<T> {
  if (!object) return { state: 'missing' };
  return object.metadata?.labels?.[OWN_LABEL.key] === OWN_LABEL.value ? observe(object) : { state: 'foreign' };
}

function signerOf(cert: X509Certificate, authority: Observed<AuthorityFacts>): ServingFacts['signedBy'] {
  if (authority.state !== 'usable') return 'none';
  const { current, earlier } = authority.value;
  if (isSignedBy(cert, current)) return 'current';
  return earlier.some((one) => isSignedBy(cert, one)) ? 'earlier' : 'none';
}

function isSignedBy(cert: X509Certificate, { pem }: Authority): boolean {
  const authority = new X509Certificate(pem);
  return cert.checkIssued(authority) && cert.verify(authority.publicKey);
}
