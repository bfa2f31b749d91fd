import { z } from 'zod';
import { json, REFUSALS, problem, Text, type Operation, type Service } from './operation.ts';

/** ok: the process can do its work. reasons: why not, or what is degraded, for a person. */
export const Readiness = z.object({ ok: z.boolean(), reasons: z.array(z.string()) });

const tag = 'Operations';

const opsOperations: readonly Operation[] = [
  {
    id: 'metrics',
    method: 'GET',
    path: '/metrics',
    tag,
    summary: 'Metrics in the text format of Prometheus',
    detail: 'Answered to private networks only, unless `metricsFrom` says otherwise. All of them: [metrics](metrics.md).',
    access: 'privateNetwork',
    answers: {
      200: { description: 'Prometheus text', content: { 'text/plain': Text } },
      403: problem('The caller is not in one of the networks of `metricsFrom`'),
    },
    example: 'curl -fsS $OPS/metrics | grep millrace_',
  },
  {
    id: 'alive',
    method: 'GET',
    path: '/healthz',
    tag,
    summary: 'The process answers',
    access: 'open',
    answers: { 200: { description: '`ok`', content: { 'text/plain': Text } } },
    example: 'curl -fsS $OPS/healthz',
  },
  {
    id: 'ready',
    method: 'GET',
    path: '/readyz',
    tag,
    summary: 'Whether the process can do its work',
    access: 'open',
    answers: {
      200: json('It can; reasons tell what is degraded', Readiness),
      503: json('It cannot, for these reasons', Readiness),
    },
    example: 'curl -fsS $OPS/readyz',
  },
];

export const opsService: Service = {
  name: 'ops',
  title: 'Millrace operations port',
  description: 'Health and metrics of the operator, of control and of each media node, each on a port of its own.',
  server: 'http://localhost:9090',
  operations: opsOperations,
  always: REFUSALS,
};
