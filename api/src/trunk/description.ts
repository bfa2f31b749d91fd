import * as z from 'zod';
import { lineText, MediaType, parameterValue, token } from '../identifier.ts';
import { MAX_LAYERS, MAX_TRACKS } from './media-frame.ts';

const uint32 = z.number().int().min(0).max(0xffff_ffff);

/** fmtp parameters of a codec, and their characters. */
export const MAX_CODEC_PARAMETERS = 32;
export const MAX_PARAMETER_NAME = 64;
export const MAX_PARAMETER_VALUE = 512;
/** Descriptions of all tracks as JSON, so that they fit one control message. */
export const MAX_TRACKS_BYTES = 24 * 1024;

export const codecParametersSchema = z
  .record(token(MAX_PARAMETER_NAME), z.union([parameterValue(MAX_PARAMETER_VALUE), z.number(), z.boolean()]))
  .refine((all) => Object.keys(all).length <= MAX_CODEC_PARAMETERS, `at most ${MAX_CODEC_PARAMETERS} parameters`);

/** Unique and growing per stream name: max(wall ms, previous + 1). */
export const epochSchema = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48 - 1);

/** Canonical sequence number (docs/decisions/0031). */
export const sequenceSchema = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48 - 1);

export const trackIndexSchema = z
  .number()
  .int()
  .min(0)
  .max(MAX_TRACKS - 1);
export const layerIndexSchema = z
  .number()
  .int()
  .min(0)
  .max(MAX_LAYERS - 1);

/** A track as its RTP leaves the origin; ids, SSRCs and payload type travel unchanged up to the last hop. */
export const trackDescriptionSchema = z.object({
  track: trackIndexSchema,
  kind: z.enum(['audio', 'video']),
  codec: z.object({
    mimeType: MediaType,
    payloadType: z.number().int().min(0).max(127),
    clockRate: z.number().int().min(1).max(1_000_000),
    channels: z.number().int().min(1).max(8).optional(),
    parameters: codecParametersSchema.optional(),
    rtcpFeedback: z
      .array(z.object({ type: token(32), parameter: lineText(32).optional() }))
      .max(16)
      .optional(),
  }),
  headerExtensions: z.array(z.object({ uri: lineText(128), id: z.number().int().min(1).max(255) })).max(16),
  /** Simulcast layers in the order of quality, lowest first, as far as it is known: it may change while the stream runs. `layer` is the name of one, not its rank. */
  layers: z
    .array(
      z.object({
        layer: layerIndexSchema,
        ssrc: uint32,
        rid: token(32).optional(),
        maxBitrate: z.number().int().positive().optional(),
        scalabilityMode: token(16).optional(),
      }),
    )
    .min(1)
    .max(MAX_LAYERS),
});
export type TrackDescription = z.infer<typeof trackDescriptionSchema>;

export const tracksSchema = z.array(trackDescriptionSchema).max(MAX_TRACKS);

/** Where a stream's current epoch stands: what a subscriber must know to make RTP of its packets. */
export interface StreamDescription {
  stream: string;
  epoch: number;
  tracks: TrackDescription[];
  /** With which control gave out this epoch; absent without control. */
  grant?: string | undefined;
}
