import type { Server } from 'node:https';
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { judgeCertificate, type CertificatePair, type UsableCertificate } from './judge.ts';
import type { CertificateMetrics } from './metrics.ts';

/** The part of a certificate's life that is left when its end is near: renewals are due at a third of it. */
const NEAR_END = 0.2;
/** How often the end of the certificate is looked at, ms. */
const LOOK_MS = 6 * 3_600_000;

interface ServingCertificateOptions {
  metrics: CertificateMetrics;
  clock: Clock;
  logger: Logger;
}

/**
 * The certificate of an HTTPS server, which changes while the server runs: connections that are open keep theirs, new ones get the latest.
 * What cannot be used is refused, with a metric and a line in the log, and the last good certificate stays.
 */
export class ServingCertificate {
  readonly #options: ServingCertificateOptions;
  #current: UsableCertificate | undefined;
  #server: Server | undefined;
  #refused: string | undefined;
  #timer: Timer | undefined;

  constructor(options: ServingCertificateOptions) {
    this.#options = options;
    this.#watchEnd();
  }

  /** Whether there is one; without, every handshake fails. */
  get isThere(): boolean {
    return this.#current !== undefined;
  }

  /** Takes the pair if a server can use it. @param source where it comes from, for the log. @returns why it was refused */
  offer(pair: CertificatePair, source: string): string | undefined {
    const verdict = judgeCertificate(pair);
    if (!verdict.ok) return this.refuse(verdict.why, source);
    const { certificate } = verdict;
    if (this.#current && isSame(certificate, this.#current)) {
      this.#refused = undefined;
      return undefined;
    }
    const hasEnded = certificate.endsMs <= this.#options.clock.wall();
    if (hasEnded && this.#current && this.#current.endsMs > certificate.endsMs)
      return this.refuse(`the certificate ended at ${timeOf(certificate.endsMs)}, the one in use lasts longer`, source);
    try {
      this.#server?.setSecureContext({ cert: certificate.cert, key: certificate.key });
    } catch (error) {
      return this.refuse(`TLS refuses it: ${(error as Error).message}`, source);
    }
    this.#current = certificate;
    this.#refused = undefined;
    const { metrics, logger } = this.#options;
    metrics.endsAt(certificate.endsMs);
    logger.info({ source, ends: timeOf(certificate.endsMs), fingerprint: certificate.fingerprint }, 'certificate in use');
    this.#warnOfEnd();
    return undefined;
  }

  /** Counts what cannot be used; the log says each reason once, however often it is offered. */
  refuse(why: string, source: string): string {
    if (this.#refused !== why) {
      this.#options.metrics.refused();
      const effect = this.#current ? 'the last good one stays in use' : 'there is none to use';
      this.#options.logger.error({ source, why }, `certificate refused; ${effect}`);
    }
    this.#refused = why;
    return why;
  }

  /** The server uses the certificate from now on, and each later one. */
  serve(server: Server): void {
    this.#server = server;
    if (this.#current) server.setSecureContext({ cert: this.#current.cert, key: this.#current.key });
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #watchEnd(): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#warnOfEnd();
      this.#watchEnd();
    }, LOOK_MS);
    this.#timer.unref();
  }

  #warnOfEnd(): void {
    if (!this.#current) return;
    const { clock, logger } = this.#options;
    const { fromMs, endsMs } = this.#current;
    const leftMs = endsMs - clock.wall();
    const ends = timeOf(endsMs);
    if (leftMs <= 0) logger.error({ ends }, 'the certificate in use has ended: clients refuse it until it is renewed');
    else if (leftMs < NEAR_END * (endsMs - fromMs)) logger.warn({ ends }, 'the certificate in use ends soon and was not renewed');
  }
}

function isSame(a: CertificatePair, b: CertificatePair): boolean {
  return String(a.cert) === String(b.cert) && String(a.key) === String(b.key);
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
