import { mediaCodecs, mediaSections } from './descriptions.ts';
import { codecRefused, type MediaProblem } from './media-problem.ts';

/** Names of the codecs that this browser can decode. */
export function decodableCodecs(kind: 'audio' | 'video'): string[] {
  const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
  return mediaCodecs(codecs.map(({ mimeType }) => mimeType.slice(kind.length + 1)));
}

/** The media sections of a node's offer that this browser's answer refuses. */
export function refusedMedia(offer: string, answer: string): MediaProblem[] {
  const answered = mediaSections(answer);
  return mediaSections(offer).flatMap(({ kind, codecs, isRejected }, i) => {
    if (isRejected || !answered[i]?.isRejected || (kind !== 'audio' && kind !== 'video')) return [];
    return [codecRefused({ kind, stream: codecs, browser: decodableCodecs(kind) }, navigator.userAgent)];
  });
}
