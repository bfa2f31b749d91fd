// The certificate of an HTTPS listener, which is replaced while the listener serves.
//
//   files of a folder ──┐
//   a Secret ───────────┴─ offer ▶ judge ▶ ServingCertificate ▶ server.setSecureContext, metrics, log
export { judgeCertificate, type CertificatePair } from './judge.ts';
export { certificateMetrics, type CertificateMetrics } from './metrics.ts';
export { ServingCertificate } from './serving-certificate.ts';
export { CertificateFiles } from './certificate-files.ts';
