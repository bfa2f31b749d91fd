// What every Millrace process shares: one logger, one config loader, one error format, one metrics registry, one HTTP server, one clock.
export { createLogger, type Logger } from './logger.ts';
export { loadConfig, configHelp, ConfigError, HelpRequested, type ConfigSource } from './config/index.ts';
export { Problem, problemHandler, notFoundHandler, parseRequest, type ProblemInit } from './problem.ts';
export { createMetrics, countHttpRefusals, Registry } from './metrics.ts';
export { MetricsFrom, opsRouter, PRIVATE_NETWORKS, type Readiness } from './ops-router.ts';
export { serveHttp, type HttpService, type ListenOptions } from './http-service.ts';
export { bearerProblem, type BearerError } from './bearer-problem.ts';
export { CannotListen } from './cannot-listen.ts';
export { HTTP_LIMITS, OPS_LIMITS, serverOptions, type HttpLimits, type HttpRefusal } from './http-limits.ts';
export { readThroughStreams } from './pausable-tls.ts';
export { jsonBody } from './json-body.ts';
export { AddressRate, limitRequests } from './address-rate.ts';
export { identifyClient } from './forwarded.ts';
export { canonicalAddress, clientGroup, isSameAddress, TrustedProxies, trusts } from './client-address.ts';
export { realClock, type Clock, type Timer } from './clock.ts';
export { Multimap } from './multimap.ts';
export { seededRandom } from './seeded-random.ts';
export { onShutdown, runMain, type ShutdownOptions } from './process-lifecycle.ts';
