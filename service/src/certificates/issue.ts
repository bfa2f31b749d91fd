import 'reflect-metadata'; // @peculiar/x509 needs it
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/** PEM of a certificate and of its private key (PKCS #8). */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface Validity {
  /** ms since the epoch; certificates hold whole seconds. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** What every TLS library of today verifies, with keys and signatures of some 100 bytes. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const SERIAL_BYTES = 16;

// Node's types of its own Web Crypto differ from those of the DOM, which the library names.
const crypto = webcrypto as unknown as Crypto;

/** A self-signed certificate authority. It may sign servers' certificates and no further authorities. */
export async function createAuthority({ commonName, fromMs, toMs }: Validity & { commonName: string }): Promise<KeyPair> {
  x509.cryptoProvider.set(crypto);
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(fromMs),
    notAfter: new Date(toMs),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
    ],
  });
  return { cert: pem(cert), key: await exported(keys.privateKey) };
}

/** A server's certificate for DNS names and IP addresses. The authority's key must be ECDSA P-256, as `createAuthority` makes it. */
export async function issueServerCertificate(
  authority: KeyPair,
  { commonName, names, fromMs, toMs }: Validity & { commonName: string; names: readonly string[] },
): Promise<KeyPair> {
  x509.cryptoProvider.set(crypto);
  const issuer = new x509.X509Certificate(authority.cert);
  const pkcs8 = createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' });
  const signingKey = await crypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), ALGORITHM, false, ['sign']);
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [commonName] }],
    issuer: issuer.subject,
    notBefore: new Date(fromMs),
    notAfter: new Date(toMs),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      // Names the issuer by its key, so that a verifier that trusts several authorities finds the right one.
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, crypto),
    ],
  });
  return { cert: pem(cert), key: await exported(keys.privateKey) };
}

/** Positive, and with the first byte set, so that it is as long as it says (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`;
}

async function exported(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }) as string;
}
