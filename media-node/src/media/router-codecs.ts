import type { TrackDescription } from '@millrace/api';
import type { types } from 'mediasoup';

/** Payload types under which a viewer takes a track. */
export interface TrackNumbers {
  payloadType: number;
  /** Of the repair stream (RFC 4588); absent: lost packets are sent again as they were. */
  rtxPayloadType?: number;
}

type Codec = Pick<types.RtpCodecParameters, 'mimeType' | 'clockRate' | 'channels' | 'parameters'>;

/** The payload types that a router gives out for repair streams, in mediasoup's order (ortc.ts, DynamicPayloadTypes). */
const DYNAMIC_PAYLOAD_TYPES = [...numbersFrom(100, 127), ...numbersFrom(96, 99)];

/**
 * What takes part in mediasoup's own matching, by codec. Formats are matched by this node (sdp/formats); a worker forwards them all alike, so it is given one
 * form of each, under which nothing is refused, merged or renumbered.
 */
const MATCHED_PARAMETERS: Readonly<Record<string, Record<string, string | number>>> = {
  'video/h264': { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 },
  'video/vp9': { 'profile-id': 0 },
};

/** A codec as a producer gets it. */
export function producedCodec(codec: Codec): Codec {
  const parameters = { ...(codec.parameters as Record<string, string | number> | undefined) };
  return {
    mimeType: codec.mimeType,
    clockRate: codec.clockRate,
    ...(codec.channels !== undefined ? { channels: codec.channels } : {}),
    parameters: { ...parameters, ...MATCHED_PARAMETERS[codec.mimeType.toLowerCase()] },
  };
}

/**
 * What a router must know for the next producer, of this codec. With numbers: consumers of that producer send with them. A router chooses repair payload
 * types itself, the first one free: to get the wanted one, the others are taken by codecs that nobody produces.
 */
export function codecCapabilities(codec: Codec, numbers?: TrackNumbers): types.RouterRtpCodecCapability[] {
  const { payloadType, rtxPayloadType } = numbers ?? {};
  const capability: types.RouterRtpCodecCapability = {
    kind: codec.mimeType.toLowerCase().startsWith('audio/') ? 'audio' : 'video',
    mimeType: codec.mimeType,
    clockRate: codec.clockRate,
    ...(codec.channels !== undefined ? { channels: codec.channels } : {}),
    ...(payloadType !== undefined ? { preferredPayloadType: payloadType } : {}),
    parameters: { ...MATCHED_PARAMETERS[codec.mimeType.toLowerCase()] },
  };
  if (rtxPayloadType === undefined) return [capability];
  const others = DYNAMIC_PAYLOAD_TYPES.filter((number) => number !== payloadType && number !== rtxPayloadType);
  return [
    ...others.map((number): types.RouterRtpCodecCapability => ({
      kind: 'audio',
      mimeType: 'audio/opus',
      clockRate: 48000,
      channels: 2,
      preferredPayloadType: number,
    })),
    capability,
  ];
}

/** The repair codec of a router, where it has the wanted numbers. */
export function repairOf(
  codecs: readonly types.RtpCodecCapability[],
  { payloadType, rtxPayloadType }: TrackNumbers,
): types.RtpCodecCapability | undefined {
  if (rtxPayloadType === undefined) return undefined;
  return codecs.find(
    (codec) =>
      /\/rtx$/i.test(codec.mimeType) &&
      codec.parameters?.['apt'] === payloadType &&
      codec.preferredPayloadType === rtxPayloadType,
  );
}

/** Numbers that a worker can send with: any payload type, and a repair payload type of its own choice. */
export function servableNumbers({ payloadType, rtxPayloadType }: TrackNumbers): TrackNumbers {
  const isServable = rtxPayloadType !== undefined && DYNAMIC_PAYLOAD_TYPES.includes(rtxPayloadType);
  return { payloadType, ...(isServable ? { rtxPayloadType } : {}) };
}

/** Numbers of ours for each track, for offers of ours: one codec with one set of parameters, one payload type (RFC 9143 section 9.1). */
export function ownNumbers(tracks: readonly TrackDescription[]): Map<number, TrackNumbers> {
  const free = [...DYNAMIC_PAYLOAD_TYPES];
  const byFormat = new Map<string, TrackNumbers>();
  return new Map(
    tracks.map(({ track, kind, codec }) => {
      const { mimeType, clockRate, channels, parameters } = codec;
      const format = JSON.stringify([mimeType, clockRate, channels, parameters]);
      const numbers = byFormat.get(format) ?? {
        payloadType: free.shift()!,
        ...(kind === 'video' ? { rtxPayloadType: free.shift()! } : {}),
      };
      byFormat.set(format, numbers);
      return [track, numbers];
    }),
  );
}

function numbersFrom(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
