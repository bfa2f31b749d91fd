import type { TrackDescription } from '@millrace/api';
import type { LocalTransport } from './write.ts';

const FOLDER = new URL('./testdata/', import.meta.url);

export function goldenAnswer(name: string): URL {
  return new URL(`${name}.answer.sdp`, FOLDER);
}

export const localTransport: LocalTransport = {
  iceParameters: { usernameFragment: 'nodeufrag', password: 'nodepasswordnodepassword', iceLite: true },
  iceCandidates: [
    {
      foundation: 'udpcandidate',
      priority: 1076302079,
      ip: '192.0.2.1',
      address: '192.0.2.1',
      protocol: 'udp',
      port: 40000,
      type: 'host',
    },
  ],
  dtlsParameters: {
    role: 'auto',
    fingerprints: [{ algorithm: 'sha-256', value: Array.from({ length: 32 }, () => 'AB').join(':') }],
  },
  setup: 'passive',
};

/** A stream with Opus and one video codec, as an origin describes it. */
export function streamTracks(video: Partial<TrackDescription['codec']> & { mimeType: string }, layers = 1): TrackDescription[] {
  return [
    {
      track: 0,
      kind: 'audio',
      codec: {
        mimeType: 'audio/opus',
        payloadType: 100,
        clockRate: 48000,
        channels: 2,
        parameters: { useinbandfec: 1 },
        rtcpFeedback: [],
      },
      headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', id: 6 }],
      layers: [{ layer: 0, ssrc: 1000 }],
    },
    {
      track: 1,
      kind: 'video',
      codec: { payloadType: 101, clockRate: 90000, parameters: {}, rtcpFeedback: [{ type: 'nack', parameter: 'pli' }], ...video },
      headerExtensions: [],
      layers: Array.from({ length: layers }, (_, layer) => ({ layer, ssrc: 2000 + layer })),
    },
  ];
}
