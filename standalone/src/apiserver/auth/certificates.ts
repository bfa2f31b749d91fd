import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueServerCertificate } from '@millrace/service/certificates';

export interface TlsFiles {
  cert: string;
  key: string;
  /** PEM of the certificate authority that clients must trust. */
  ca: string;
}
const dayMs = 86_400_000;

/**
 * The server's certificate from the data directory, created on first use and renewed a month before it expires. kubectl sends bearer tokens
 * over TLS only, so the standalone API is never plain HTTP. The authority's key is not stored.
 */
export async function loadOrCreateCertificates(dataDir: string, hosts: string[], nowMs: number): Promise<TlsFiles> {
  const file = join(dataDir, 'tls.json');
  if (existsSync(file)) {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as TlsFiles & { hosts: string[] };
    const ends = new X509Certificate(kept.cert).validToDate.getTime();
    if (ends - nowMs > 30 * dayMs && hosts.every((host) => kept.hosts.includes(host))) return kept;
  }
  const made = { ...(await createCertificates(hosts, nowMs)), hosts };
  writeFileSync(`${file}.new`, JSON.stringify(made), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return made;
}

async function createCertificates(names: string[], nowMs: number): Promise<TlsFiles> {
  const validity = { fromMs: nowMs - dayMs, toMs: nowMs + 365 * dayMs };
  const authority = await createAuthority({ commonName: 'millrace-standalone-ca', ...validity });
  const issued = await issueServerCertificate(authority, { commonName: 'millrace-standalone', names, ...validity });
  return { ...issued, ca: authority.cert };
}
