// Creates X.509 certificates. A path of its own in the exports, so that only the processes that create some load the X.509 library.
export { createAuthority, issueServerCertificate, type KeyPair, type Validity } from './issue.ts';
