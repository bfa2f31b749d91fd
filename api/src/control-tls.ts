/** The Secret with control's certificate, of type kubernetes.io/tls: the operator writes it, control reads it. */
export const CONTROL_TLS_SECRET = 'millrace-control-tls';
