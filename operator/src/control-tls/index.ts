// Control's certificate, and how nodes verify it: observe → plan (pure) → write, once a minute in control's namespace and each one with MediaEdges.
//
//   Secret millrace-control-ca      authority and its key; ca.crt: it and the authorities that it replaced
//   ConfigMap millrace-control-ca   ca.crt of that Secret, which pods of media nodes mount
//   Secret millrace-control-tls     control's certificate and key, which control watches
export { createControlTlsController } from './controller.ts';
export { controlTrust, trustConfigMap, type ControlTrust, type TrustSettings } from './trust.ts';
export { TrustVerdicts, type TrustVerdict } from './verdicts.ts';
