import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** In the order of measurement. The relay figure comes first, before a network runs beside it. */
export const FIGURES = ['relay', 'join', 'reroute', 'fanout', 'load'] as const;
/** `load` takes minutes, so it must be requested explicitly. */
const USUAL = FIGURES.filter((name) => name !== 'load');

export const BenchConfig = z.object({
  only: z
    .array(z.enum(FIGURES))
    .default([...USUAL])
    .describe('Which figures to measure, comma-separated'),
  json: z
    .string()
    .default(fileURLToPath(new URL('../results/bench.json', import.meta.url)))
    .describe('Where the figures and every single measurement are written'),
  joinTries: z.number().int().min(1).max(100).default(5).describe('Number of joins of each kind'),
  rerouteTries: z.number().int().min(0).max(20).default(3).describe('Number of relays to kill, one after the other'),
  drainTries: z.number().int().min(0).max(20).default(2).describe('Number of relays to remove in each of two planned ways'),
  fanoutViewers: z
    .array(z.number().int().min(1).max(900))
    .default([100, 300, 600])
    .describe('Numbers of viewers on the pull node'),
  relayStreams: z.number().int().min(1).max(200).default(10).describe('Streams through the relay'),
  windowSeconds: z.number().min(1).max(120).default(8).describe('How long CPU time is measured for one row'),
  loadMinutes: z.number().min(1).max(720).default(10).describe('How long the network is under load'),
  loadWarmUpMinutes: z
    .number()
    .min(0)
    .max(60)
    .default(6)
    .describe('How much of it counts as warm-up; the API keeps the changes of the last 5 minutes'),
  loadViewers: z
    .number()
    .int()
    .min(0)
    .max(1500)
    .default(0)
    .describe('Number of plain viewers; 0: as many as the machine can serve, found by a ramp'),
  loadHeadroomPercent: z.number().min(1).max(90).default(20).describe("Share of the machine's CPU that the ramp leaves free"),
  loadChurnPercent: z.number().min(0).max(20).default(2).describe('Share of the viewers that leave and are replaced each second'),
  loadPicture: z
    .string()
    .default(fileURLToPath(new URL('../results/load.svg', import.meta.url)))
    .describe('Where the picture of memory and CPU over time is written'),
  namespace: z.boolean().default(true).describe('Run in a separate network namespace if permitted'),
});
export type BenchConfig = z.infer<typeof BenchConfig>;
