import { Counter, Gauge, type Registry } from 'prom-client';

export interface CertificateMetrics {
  /** @param endsMs ms since the epoch */
  endsAt(endsMs: number): void;
  refused(): void;
}

/** What the certificate of a listener shows. Both metrics exist without TLS too, without samples. */
export function certificateMetrics(registry: Registry, listener: string): CertificateMetrics {
  const registers = [registry];
  const ends = new Gauge({
    name: 'millrace_http_certificate_expiry_timestamp_seconds',
    help: 'End of the certificate in use since the epoch, by listener; seconds',
    labelNames: ['listener'],
    registers,
  });
  const refusals = new Counter({
    name: 'millrace_http_certificate_refusals_total',
    help: 'Certificates that were offered and cannot be used, by listener; the one in use stays; a count',
    labelNames: ['listener'],
    registers,
  });
  return {
    endsAt: (endsMs) => ends.set({ listener }, endsMs / 1000),
    refused: () => refusals.inc({ listener }),
  };
}
