import * as z from 'zod';
import { Grant } from '../grants.ts';
import type { TrunkAddress } from '../host.ts';
import { jsonExcess, MAX_JSON_DEPTH } from '../json-bounds.ts';
import { StreamName } from '../stream-name.ts';
import { epochSchema, layerIndexSchema, sequenceSchema, trackIndexSchema, tracksSchema } from './description.ts';
import { MAX_LAYERS, MAX_NODE_NAME, MAX_TRACKS } from './media-frame.ts';

/** Version of the subscription messages; a node answers an unknown one with REFUSED `version`. */
export const SUBSCRIPTION_VERSION = 2;
/** Nodes upstream of a subscriber, the origin included. */
export const MAX_PATH_HOPS = 16;
export const MAX_CONTROL_MESSAGE_BYTES = 64 * 1024;
/** Far more than any message needs. */
const MESSAGE_BOUNDS = { values: 4000, keys: 64, items: 256, depth: MAX_JSON_DEPTH };

const nodeName = z.string().min(1).max(MAX_NODE_NAME);
const reason = z.string().max(512);
/** Names a subscription on its trunk for as long as it lives; chosen by the subscriber. */
const id = z.number().int().min(0).max(0xffff_ffff);
/** Control's grant of the epoch that the message names (grants.ts). */
const grant = Grant.optional();
const conversation = z.number().int().min(1).max(0xffff_ffff);

/** A node as trunks dial it. Never on the wire: a node dials those of its own settings, and origins at the address in control's grant. */
export interface Hop extends TrunkAddress {
  node: string;
}

export function hopTo({ node, host, otherHosts, port }: Hop): Hop {
  return { node, host, ...(otherHosts ? { otherHosts } : {}), port };
}

const hops = z.array(nodeName).max(MAX_PATH_HOPS);

/** What the subscriber has without a hole, so that the publisher of the trunk goes on behind it. */
export const heldPositionSchema = z.object({
  epoch: epochSchema,
  track: trackIndexSchema,
  layer: layerIndexSchema,
  seq: sequenceSchema,
});
export type HeldPosition = z.infer<typeof heldPositionSchema>;

/** Wanted layers by track: bit n is layer n. A track that is not listed is wanted whole. */
export const layerMaskSchema = z
  .array(z.object({ track: trackIndexSchema, mask: z.number().int().min(0).max(255) }))
  .max(MAX_TRACKS);
export type LayerMask = z.infer<typeof layerMaskSchema>;

/** The reason codes of REFUSED. Only `unknown-stream` may change by waiting. */
export const REFUSAL_CODES = [
  'unknown-stream',
  'loop',
  'path-too-long',
  'unauthorised',
  'overloaded',
  'invalid',
  'version',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** Asks for a stream, or changes what is asked for when `id` is known already. */
const subscribe = z.object({
  type: z.literal('subscribe'),
  id,
  stream: StreamName,
  /** The oldest epoch of use to the subscriber. */
  epoch: epochSchema.optional(),
  grant,
  /** Names of the nodes upstream of the receiver, nearest first, the origin last; empty when the receiver is the origin. */
  path: hops,
  /** The subscriber's alternative path, from its own next hop to the origin. A node on it can use the rest of it. */
  backup: hops,
  /** Nodes downstream of the receiver, the sender last. */
  via: z.array(nodeName).min(1).max(MAX_PATH_HOPS),
  layers: layerMaskSchema,
  held: z.array(heldPositionSchema).max(MAX_TRACKS * MAX_LAYERS),
  /** Chosen by the subscriber, so that media which overtakes SUBSCRIBED has a place already. */
  conversations: z.object({ audio: conversation, video: conversation }),
});

/** The subscription stands. */
const subscribed = z.object({
  type: z.literal('subscribed'),
  id,
  epoch: epochSchema,
  tracks: tracksSchema,
  grant,
  path: z.array(nodeName).max(MAX_PATH_HOPS),
});
const unsubscribe = z.object({ type: z.literal('unsubscribe'), id });
/** Tracks or epoch changed. */
const tracks = z.object({ type: z.literal('tracks'), id, epoch: epochSchema, tracks: tracksSchema, grant });
/** How the path upstream of the sender stands: its nodes nearest first, RTT and loss summed over their trunks. */
const path = z.object({
  type: z.literal('path'),
  id,
  path: z.array(nodeName).max(MAX_PATH_HOPS),
  rttMs: z.number().min(0),
  lossPercent: z.number().min(0).max(100),
});
const keyframe = z.object({ type: z.literal('keyframe'), id, track: trackIndexSchema, layer: layerIndexSchema });
/** The sender has lost its own upstream and has no alternative path. It keeps trying. */
const lost = z.object({ type: z.literal('lost'), id, reason });
/** The publisher left. */
const ended = z.object({ type: z.literal('ended'), id, epoch: epochSchema, reason });
const refused = z.object({ type: z.literal('refused'), id, code: z.enum(REFUSAL_CODES), reason });

export const trunkControlMessageSchema = z.discriminatedUnion('type', [
  subscribe,
  subscribed,
  unsubscribe,
  tracks,
  path,
  keyframe,
  lost,
  ended,
  refused,
]);
export type TrunkControlMessage = z.infer<typeof trunkControlMessageSchema>;
export type Subscribe = z.infer<typeof subscribe>;
export type Subscribed = z.infer<typeof subscribed>;

/** A message that cannot be read; `id` is its subscription, when that much could be read. */
export class TrunkControlMessageError extends Error {
  readonly code: RefusalCode;
  readonly id: number | undefined;

  constructor(code: RefusalCode, message: string, subscription?: number) {
    super(message);
    this.name = 'TrunkControlMessageError';
    this.code = code;
    this.id = subscription;
  }
}

export function encodeTrunkControlMessage(message: TrunkControlMessage): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify({ v: SUBSCRIPTION_VERSION, ...message }));
  if (bytes.length > MAX_CONTROL_MESSAGE_BYTES) {
    throw new TrunkControlMessageError(
      'invalid',
      `${message.type} of ${bytes.length} bytes: at most ${MAX_CONTROL_MESSAGE_BYTES}`,
      message.id,
    );
  }
  return bytes;
}

/** Throws TrunkControlMessageError, never anything else. */
export function decodeTrunkControlMessage(bytes: Uint8Array): TrunkControlMessage {
  if (bytes.length > MAX_CONTROL_MESSAGE_BYTES) {
    throw new TrunkControlMessageError('invalid', `message of ${bytes.length} bytes: at most ${MAX_CONTROL_MESSAGE_BYTES}`);
  }
  const json = parseJson(bytes);
  const subscription = id.safeParse((json as { id?: unknown } | null)?.id).data;
  const version = (json as { v?: unknown } | null)?.v;
  if (version !== SUBSCRIPTION_VERSION) {
    throw new TrunkControlMessageError(
      'version',
      `subscription message version ${Number.isSafeInteger(version) ? String(version) : 'that is no number'}: this node speaks ${SUBSCRIPTION_VERSION}`,
      subscription,
    );
  }
  const parsed = trunkControlMessageSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new TrunkControlMessageError('invalid', `${path.join('.')}: ${message}`.slice(0, 500), subscription);
}

function parseJson(bytes: Uint8Array): unknown {
  const text = textOf(bytes);
  const excess = text === undefined ? 'the message is no UTF-8' : jsonExcess(text, MESSAGE_BOUNDS);
  if (excess !== undefined) throw new TrunkControlMessageError('invalid', excess);
  try {
    return JSON.parse(text!);
  } catch {
    throw new TrunkControlMessageError('invalid', 'the message is no JSON text');
  }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
