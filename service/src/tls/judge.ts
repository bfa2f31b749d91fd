import { createPrivateKey, X509Certificate } from 'node:crypto';

/** PEM of a certificate, with the chain up to its root, and of its private key. */
export interface CertificatePair {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

/** A certificate that a server can use. Times are ms since the epoch. */
export interface UsableCertificate extends CertificatePair {
  readonly fromMs: number;
  readonly endsMs: number;
  /** SHA-256 of the certificate, as hexadecimal digits with colons. */
  readonly fingerprint: string;
}

export type CertificateVerdict =
  { readonly ok: true; readonly certificate: UsableCertificate } | { readonly ok: false; readonly why: string };

/** Whether a server can use the pair: both parse, and the key is that of the first certificate. Says nothing about its time or its issuer. */
export function judgeCertificate(pair: CertificatePair): CertificateVerdict {
  let cert: X509Certificate;
  try {
    cert = new X509Certificate(pair.cert);
  } catch {
    return { ok: false, why: 'tls.crt holds no certificate in PEM' };
  }
  try {
    if (!cert.checkPrivateKey(createPrivateKey(pair.key)))
      return { ok: false, why: 'tls.key is not the key of the first certificate in tls.crt' };
  } catch {
    return { ok: false, why: 'tls.key holds no private key in PEM that can be read without a password' };
  }
  const [fromMs, endsMs] = [cert.validFromDate.getTime(), cert.validToDate.getTime()];
  return { ok: true, certificate: { ...pair, fromMs, endsMs, fingerprint: cert.fingerprint256 } };
}
