// What every Millrace process shares: one logger, one config loader, one error format, one metrics registry, one HTTP server, one clock.
export { createLogger, type Logger } from './logger.ts';
export { loadConfig, configHelp, ConfigError, HelpRequested, type ConfigSource } from './config/index.ts';
export { Problem, problemHandler, notFoundHandler, parseRequest, type ProblemInit } from './problem.ts';
export { createMetrics, countHttpRefusals, Registry } from './metrics.ts';
export { MetricsFrom, opsRouter, PRIVATE_NETWORKS, type Readiness } from './ops-router.ts';
export { serveHttp, type HttpService, type ListenOptions } from './http-service.ts';
export { bearerProblem, bearerToken, type BearerError } from './bearer-problem.ts';
export { CannotListen } from './cannot-listen.ts';
export { HTTP_LIMITS, OPS_LIMITS, serverOptions, type HttpLimits, type HttpRefusal } from './http-limits.ts';
export { readThroughStreams } from './pausable-tls.ts';
export {
  CertificateFiles,
  certificateMetrics,
  judgeCertificate,
  ServingCertificate,
  type CertificateMetrics,
  type CertificatePair,
} from './tls/index.ts';
export { jsonBody, mediaTypeOf, textBody, unsupportedType } from './body.ts';
export { cors } from './cors.ts';
export { openEventStream } from './event-stream.ts';
export { allowMethods } from './methods.ts';
export { isHttps, relativeReference, tolerantPaths } from './paths.ts';
export { AddressRate, limitRequests } from './address-rate.ts';
export { clientAddress, identifyClient } from './forwarded.ts';
export { canonicalAddress, clientGroup, isSameAddress, TrustedProxies, trusts } from './client-address.ts';
export { backoffMs, exponentialMs, type BackoffPolicy } from './backoff.ts';
export { realClock, type Clock, type Timer } from './clock.ts';
export { Multimap } from './multimap.ts';
export { seededRandom } from './seeded-random.ts';
export { onShutdown, runMain, type ShutdownOptions } from './process-lifecycle.ts';
