import type { TrackDescription } from '@millrace/api';
import type { types } from 'mediasoup';

/** The payload types under which a viewer receives a track. */
export interface TrackNumbers {
  payloadType: number;
  /** Payload type of the repair stream (RFC 4588); absent: lost packets are retransmitted unchanged. */
  rtxPayloadType?: number;
}

type Codec = Pick<types.RtpCodecParameters, 'mimeType' | 'clockRate' | 'channels' | 'parameters'>;

/** The payload types that a router assigns to repair streams, in mediasoup's order (ortc.ts, DynamicPayloadTypes). */
const DYNAMIC_PAYLOAD_TYPES = [...numbersFrom(100, 127), ...numbersFrom(96, 99)];

/**
 * The fmtp parameters that mediasoup's own codec matching reads, by codec. This node matches formats itself (sdp/formats), and a worker forwards all of them
 * alike, so mediasoup always gets the same values, with which it refuses, merges and renumbers nothing.
 */
const MATCHED_PARAMETERS: Readonly<Record<string, Record<string, string | number>>> = {
  'video/h264': { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 },
  'video/vp9': { 'profile-id': 0 },
};

/** The codec to give to a mediasoup producer. */
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
 * The codecs to set on a router before the next producer, which has this codec. With `numbers`, consumers of that producer send under these payload types. A
 * router assigns the first free payload type to the repair stream, so placeholder codecs that nobody produces occupy all others.
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

/** The router's repair codec with these payload types, if it has one. */
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

/** The payload types that a worker can send with: any for the media, but for the repair stream only one that a router can assign. */
export function servableNumbers({ payloadType, rtxPayloadType }: TrackNumbers): TrackNumbers {
  const isServable = rtxPayloadType !== undefined && DYNAMIC_PAYLOAD_TYPES.includes(rtxPayloadType);
  return { payloadType, ...(isServable ? { rtxPayloadType } : {}) };
}

/** Payload types for the node's own offers, by track. Tracks with the same codec and parameters share a payload type (RFC 9143 section 9.1). */
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
