import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createAuthority, issueServerCertificate } from './index.ts';

const FROM_MS = Date.parse('2026-01-01T00:00:00Z');
const DAY_MS = 86_400_000;
const validity = { fromMs: FROM_MS, toMs: FROM_MS + 90 * DAY_MS };

test('a certificate of an authority is for exactly its names and times, and for servers only', async () => {
  const authority = await createAuthority({ commonName: 'an authority', ...validity });
  const names = ['control', 'control.fleet.svc', '192.0.2.7', '2001:db8::7'];
  const issued = await issueServerCertificate(authority, { commonName: 'control', names, ...validity });
  const [ca, cert] = [new X509Certificate(authority.cert), new X509Certificate(issued.cert)];
  assert.ok(ca.ca && !cert.ca);
  assert.ok(cert.checkIssued(ca) && cert.verify(ca.publicKey));
  for (const name of names) assert.ok(name.match(/^[\d:]/) ? cert.checkIP(name) : cert.checkHost(name), name);
  assert.equal(cert.checkHost('control.other.svc'), undefined);
  assert.deepEqual([cert.validFromDate.getTime(), cert.validToDate.getTime()], [validity.fromMs, validity.toMs]);
  assert.deepEqual(cert.keyUsage, ['1.3.6.1.5.5.7.3.1']);
});

test('two authorities of one name differ by key and serial number, and neither verifies what the other signed', async () => {
  const [one, two] = [
    await createAuthority({ commonName: 'same', ...validity }),
    await createAuthority({ commonName: 'same', ...validity }),
  ];
  const issued = new X509Certificate((await issueServerCertificate(one, { commonName: 'c', names: ['c'], ...validity })).cert);
  assert.equal(issued.verify(new X509Certificate(two.cert).publicKey), false);
  assert.equal(issued.checkIssued(new X509Certificate(two.cert)), false, 'by its authority key identifier');
  assert.notEqual(new X509Certificate(one.cert).serialNumber, new X509Certificate(two.cert).serialNumber);
});
