import { CONTROL_TLS_SECRET } from '@millrace/api';
import type { KubeClient } from '@millrace/kube';
import {
  CertificateFiles,
  certificateMetrics,
  ServingCertificate,
  type Clock,
  type Logger,
  type Registry,
} from '@millrace/service';
import { NamedSecret } from './cluster/index.ts';
import type { ControlTls } from './options.ts';

interface CertificateOptions {
  /** Absent: plain HTTP. */
  tls: ControlTls | undefined;
  client: KubeClient;
  namespace: string;
  registry: Registry;
  clock: Clock;
  logger: Logger;
}

/** Control's certificate and where it comes from. */
export interface FollowedCertificate {
  certificate: ServingCertificate;
  /** Why control cannot be reached by TLS; undefined when it can. */
  missing(): string | undefined;
  stop(): Promise<void>;
}

/** Follows the Secret or the files that control's certificate comes from. @throws Error when the folder holds none that can be used */
export async function followCertificate(options: CertificateOptions): Promise<FollowedCertificate | undefined> {
  const { tls, registry, clock, logger } = options;
  const metrics = certificateMetrics(registry, 'control');
  if (!tls) return undefined;
  const certificate = new ServingCertificate({ metrics, clock, logger });
  const source =
    'folder' in tls
      ? await CertificateFiles.follow({ ...tls, certificate, clock })
      : followSecret(tls.secret, certificate, options);
  return {
    certificate,
    missing: () => (certificate.isThere || 'folder' in tls ? undefined : missingSecret(tls.secret)),
    stop: async () => {
      certificate.stop();
      await source.stop();
    },
  };
}

function followSecret(
  name: string,
  certificate: ServingCertificate,
  { client, namespace, logger }: CertificateOptions,
): NamedSecret {
  const onData = (data: Readonly<Record<string, string>> | undefined): void => {
    if (data === undefined) return void logger.warn(`Secret ${name} is gone; its certificate stays in use`);
    const [cert, key] = ['tls.crt', 'tls.key'].map((field) => Buffer.from(data[field] ?? '', 'base64')) as [Buffer, Buffer];
    certificate.offer({ cert, key }, `Secret ${name}`);
  };
  return new NamedSecret({ client, namespace, name, logger, onData });
}

function missingSecret(name: string): string {
  const remedy =
    name === CONTROL_TLS_SECRET
      ? 'the operator creates it; if it does not, its log and the condition ResolvedRefs of the MediaEdges say why'
      : 'create it with a certificate and its key (MILLRACE_TLS_SECRET names it)';
  return `Secret ${name} holds no certificate that can be used yet: ${remedy}`;
}
