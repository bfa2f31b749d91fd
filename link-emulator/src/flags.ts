import { isIP } from 'node:net';
import { z } from 'zod';
import { PERFECT_LINK, profileFault, type LinkProfile } from './profile.ts';
import type { UdpAddress } from './udp-network.ts';

/** `text` may be a plain number, which is what Node's own settings loader makes of digits. */
function quantity(units: Readonly<Record<string, number>>, example: string) {
  return z.union([z.string(), z.number()]).transform((text, context): number => {
    const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z%]*)$/.exec(String(text).trim());
    const factor = units[match?.[2] ?? '?'];
    if (match && factor !== undefined) return Number(match[1]) * factor;
    context.addIssue({ code: 'custom', message: `"${text}" is none; write it as ${example}` });
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
    message: `"${text}" is none; write an IP address and a port, as 127.0.0.1:5000 or [::1]:5000`,
  });
  return z.NEVER;
});

/** Flags of the command. What is said of the link holds for both directions, unless `back-…` or `cut` says otherwise. */
export const Flags = z.object({
  listen: address.describe('where clients send, e.g. 127.0.0.1:5000; port 0 takes a free one'),
  to: address.describe('where their datagrams go'),
  seed: z.number().int().min(0).default(1).describe('the same seed gives the same link'),
  rtt: time.optional().describe('round trip, the half of it each way, e.g. 80ms'),
  delay: time.optional().describe('delay each way, instead of --rtt'),
  jitter: time.optional().describe('each datagram is later by up to this much'),
  jitterCorrelation: time.optional().describe('for how long jitter stays alike'),
  jitterReorders: z.boolean().default(false).describe('jitter may change the order'),
  loss: share.optional().describe('share lost, each by itself, e.g. 10%'),
  burstLoss: share.optional().describe('share lost in bursts'),
  burstLength: z.number().optional().describe('mean length of bursts, in datagrams'),
  reordering: share.optional().describe('share held back'),
  reorderingBy: time.optional().describe('for how long'),
  duplication: share.optional().describe('share that comes twice'),
  corruption: share.optional().describe('share that comes with a wrong bit'),
  rate: rate.optional().describe('of IP packets, e.g. 2Mbps'),
  queue: time.optional().describe('what waits for the rate: at most so long'),
  queueSize: size.optional().describe('and at most so much, e.g. 64kB'),
  mtu: size.optional().describe('IP packets above this size vanish, e.g. 1280B'),
  cut: z.enum(['none', 'there', 'back', 'both']).default('none').describe('direction in which nothing goes through'),
  reportEvery: time.default(10_000).describe('how often figures are printed; 0 for never'),
});
export type Flags = z.infer<typeof Flags>;

/** The two directions that the flags ask for. @throws RangeError when they exclude each other or there is no such link */
export function profilesOf(flags: Flags): { there: Partial<LinkProfile>; back: Partial<LinkProfile> } {
  if (flags.rtt !== undefined && flags.delay !== undefined) throw new RangeError('--rtt and --delay: give one of them');
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
  const fault = profileFault({ ...PERFECT_LINK, ...both });
  if (fault !== undefined) throw new RangeError(fault);
  const cuts = (direction: 'there' | 'back') => flags.cut === direction || flags.cut === 'both';
  return { there: { ...both, cut: cuts('there') }, back: { ...both, cut: cuts('back') } };
}
