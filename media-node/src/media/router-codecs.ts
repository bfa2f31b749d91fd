import type { types } from 'mediasoup';

type Codec = Pick<types.RtpCodecParameters, 'mimeType' | 'clockRate' | 'channels' | 'parameters'>;

/** Parameters that tell two payload formats of one name apart. */
const FORMAT_PARAMETERS = ['packetization-mode', 'profile-level-id', 'level-asymmetry-allowed', 'profile-id', 'profile'];

/** What a router must know to carry exactly these codecs. Equal ones are listed once. */
export function codecCapabilities(
  codecs: readonly (Codec & { preferredPayloadType?: number })[],
): types.RouterRtpCodecCapability[] {
  const capabilities: types.RouterRtpCodecCapability[] = [];
  for (const codec of codecs) {
    const parameters = Object.fromEntries(
      Object.entries(codec.parameters ?? {}).filter(([name]) => FORMAT_PARAMETERS.includes(name)),
    );
    const capability: types.RouterRtpCodecCapability = {
      kind: codec.mimeType.startsWith('audio/') ? 'audio' : 'video',
      mimeType: codec.mimeType,
      clockRate: codec.clockRate,
      ...(codec.channels !== undefined ? { channels: codec.channels } : {}),
      ...(codec.preferredPayloadType !== undefined ? { preferredPayloadType: codec.preferredPayloadType } : {}),
      parameters,
    };
    if (!capabilities.some((known) => JSON.stringify(known) === JSON.stringify(capability))) capabilities.push(capability);
  }
  return capabilities;
}
