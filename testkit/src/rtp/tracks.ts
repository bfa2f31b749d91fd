import type { TrackDescription } from '@millrace/api/trunk';

export const VIDEO_TRACK: TrackDescription = {
  track: 0,
  kind: 'video',
  codec: { mimeType: 'video/H264', payloadType: 102, clockRate: 90_000 },
  headerExtensions: [],
  layers: [{ layer: 0, ssrc: 1000 }],
};
export const AUDIO_TRACK: TrackDescription = {
  track: 1,
  kind: 'audio',
  codec: { mimeType: 'audio/opus', payloadType: 111, clockRate: 48_000, channels: 2 },
  headerExtensions: [],
  layers: [{ layer: 0, ssrc: 2000 }],
};
