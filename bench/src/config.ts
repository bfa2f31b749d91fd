import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** In order: the relay's first, before a network runs beside it. */
export const FIGURES = ['relay', 'join', 'reroute', 'fanout'] as const;

export const BenchConfig = z.object({
  only: z
    .array(z.enum(FIGURES))
    .default([...FIGURES])
    .describe('Which figures to measure, comma-separated'),
  json: z
    .string()
    .default(fileURLToPath(new URL('../results/bench.json', import.meta.url)))
    .describe('Where the figures and every single measurement are written'),
  joinTries: z.number().int().min(1).max(100).default(7).describe('Joins of each kind'),
  rerouteTries: z.number().int().min(1).max(20).default(4).describe('Relays to kill, one after the other'),
  fanoutViewers: z.array(z.number().int().min(1).max(900)).default([100, 300]).describe('Numbers of viewers on the pull node'),
  relayStreams: z.number().int().min(1).max(200).default(10).describe('Streams through the relay'),
  windowSeconds: z.number().min(1).max(120).default(10).describe('How long CPU time is measured for one row'),
  namespace: z.boolean().default(true).describe('Run in a network namespace of its own where that is allowed'),
});
export type BenchConfig = z.infer<typeof BenchConfig>;
