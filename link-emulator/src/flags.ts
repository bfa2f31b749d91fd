import { isIP } from 'node:net';
import { z } from 'zod';
import { PERFECT_LINK, profileError, type LinkProfile } from './profile.ts';
import type { UdpAddress } from './udp-network.ts';

/** The input may be a number, because the configuration loader converts digits to numbers. */
function quantity(units: Readonly<Record<string, number>>, example: string) {
  return z.union([z.string(), z.number()]).transform((text, context): number => {
    const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z%]*)$/.exec(String(text).trim());
    const factor = units[match?.[2] ?? '?'];
    if (match && factor !== undefined) return Number(match[1]) * factor;
    context.addIssue({ code: 'custom', message: `"${text}" is not valid; write it as ${example}` });
    return z.NEVER;
  });
}

const share = quantity({ '%': 0.01, '': 1 }, '10% or 0.1');
const time = quantity({ ms: 1, s: 1000, '': 1 }, '80ms or 0.08s');
const rate = quantity({ kbps: 1, k: 1, Mbps: 1000, M: 1000, '': 1 }, '2Mbps or 2000kbps');
const size = quantity({ B: 1, kB: 1000, '': 1 }, '64kB or 64000B');

const address = z.string().transform((text, context): UdpAddress => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (isIP(host) > 0 && port <= 65_535) return { address: host, port };
  context.addIssue({
    code: 'custom',
    message: `"${text}" is not valid; write an IP address and a port, as 127.0.0.1:5000 or [::1]:5000`,
  });
  return z.NEVER;
});

/** The command line flags. Link settings apply to both directions, unless `back-…` or `cut` overrides them. */
export const Flags = z.object({
  listen: address.describe('the address on which clients send, e.g. 127.0.0.1:5000; port 0 selects a free one'),
  to: address.describe('the server to which the datagrams are forwarded'),
  seed: z.number().int().min(0).default(1).describe('seed of the random source; equal seeds give equal links'),
  rtt: time.optional().describe('round-trip time, half of it in each direction, e.g. 80ms'),
  delay: time.optional().describe('delay in each direction, instead of --rtt'),
  jitter: time.optional().describe('maximum additional random delay of a datagram'),
  jitterCorrelation: time.optional().describe('correlation time of the jitter'),
  jitterReorders: z.boolean().default(false).describe('jitter may reorder datagrams'),
  loss: share.optional().describe('share of datagrams lost independently, e.g. 10%'),
  burstLoss: share.optional().describe('share of datagrams lost in bursts'),
  burstLength: z.number().optional().describe('mean length of bursts, in datagrams'),
  reordering: share.optional().describe('share of datagrams delayed so that later ones overtake them'),
  reorderingBy: time.optional().describe('the additional delay of those datagrams'),
  duplication: share.optional().describe('share of datagrams delivered twice'),
  corruption: share.optional().describe('share of datagrams delivered with one bit flipped'),
  rate: rate.optional().describe('bit rate, counted in IP packets, e.g. 2Mbps'),
  queue: time.optional().describe('maximum queueing delay of the rate limit'),
  queueSize: size.optional().describe('maximum queue size of the rate limit, e.g. 64kB'),
  mtu: size.optional().describe('IP packets above this size are dropped silently, e.g. 1280B'),
  cut: z.enum(['none', 'there', 'back', 'both']).default('none').describe('the direction that drops every datagram'),
  reportEvery: time.default(10_000).describe('interval at which counters are printed; 0 for never'),
});
export type Flags = z.infer<typeof Flags>;

/** Converts the flags to the profiles of both directions. @throws RangeError when two flags exclude each other */
export function profilesOf(flags: Flags): { there: Partial<LinkProfile>; back: Partial<LinkProfile> } {
  if (flags.rtt !== undefined && flags.delay !== undefined)
    throw new RangeError('--rtt and --delay exclude each other; set one of them');
  const asked: { [Field in keyof LinkProfile]: LinkProfile[Field] | undefined } = {
    delayMs: flags.delay ?? (flags.rtt === undefined ? undefined : flags.rtt / 2),
    jitterMs: flags.jitter,
    jitterCorrelationMs: flags.jitterCorrelation,
    keepsOrder: !flags.jitterReorders,
    loss: flags.loss,
    burstLoss: flags.burstLoss,
    burstLength: flags.burstLength,
    reordering: flags.reordering,
    reorderingMs: flags.reorderingBy,
    duplication: flags.duplication,
    corruption: flags.corruption,
    rateKbps: flags.rate,
    queueMs: flags.queue,
    queueBytes: flags.queueSize,
    mtuBytes: flags.mtu,
    cut: undefined,
  };
  const both = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)) as Partial<LinkProfile>;
  const fault = profileError({ ...PERFECT_LINK, ...both });
  if (fault !== undefined) throw new RangeError(fault);
  const cuts = (direction: 'there' | 'back') => flags.cut === direction || flags.cut === 'both';
  return { there: { ...both, cut: cuts('there') }, back: { ...both, cut: cuts('back') } };
}
