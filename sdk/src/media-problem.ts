/**
 * `IceFailed`: no candidate pair works. `DtlsFailed`: one does, but the DTLS handshake failed. `CodecRefused`: this browser has no decoder
 * for the stream. `NotDecoded`: packets arrive, but no frame is decoded. `NoMedia`: the connection is up, but no packets arrive.
 */
export type ProblemReason = 'IceFailed' | 'DtlsFailed' | 'CodecRefused' | 'NotDecoded' | 'NoMedia';

/** Why there is no picture or sound, worded for the end user. */
export class MediaProblem extends Error {
  override readonly name = 'MediaProblem';
  readonly reason: ProblemReason;
  /** A possible remedy. */
  readonly remedy: string;

  constructor(reason: ProblemReason, message: string, remedy: string) {
    super(message);
    this.reason = reason;
    this.remedy = remedy;
  }
}

/** The codecs of one kind of media that the stream has and the browser can decode. */
export interface CodecChoice {
  readonly kind: 'audio' | 'video';
  /** Names without `audio/` or `video/`. */
  readonly stream: readonly string[];
  readonly browser: readonly string[];
}

export function codecRefused({ kind, stream, browser }: CodecChoice, userAgent = ''): MediaProblem {
  return new MediaProblem(
    'CodecRefused',
    `this stream's ${kind} is ${stream.join(' or ')}, which this browser cannot decode`,
    codecRemedy(stream, browser, userAgent),
  );
}

export function notDecoded({ stream, browser }: CodecChoice, userAgent = ''): MediaProblem {
  const remedy = stream.every((name) => browser.includes(name))
    ? 'Reload the page. If that does not help, publish another codec or use another browser.'
    : codecRemedy(stream, browser, userAgent);
  return new MediaProblem('NotDecoded', `${stream.join(' or ') || 'video'} arrives, but this browser decodes none of it`, remedy);
}

function codecRemedy(stream: readonly string[], browser: readonly string[], userAgent: string): string {
  const remedy = `It can decode ${browser.join(', ') || 'nothing'}: publish one of these, or use another browser.`;
  // Firefox has no H.264 of its own: it downloads OpenH264 as a plugin after its first start.
  return stream.includes('H264') && userAgent.includes('Firefox/')
    ? `${remedy} Firefox downloads its H.264 decoder after its first start: wait a minute and reload, or look under about:addons, Plugins.`
    : remedy;
}
