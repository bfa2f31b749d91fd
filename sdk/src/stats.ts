import type { PlaybackSample } from './playback-watch.ts';

/** What a viewer's connection measures. Counters grow from the start of the connection. */
export interface PlayerStats {
  readonly bytesReceived: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly framesDecoded: number;
  readonly framesDropped: number;
  readonly keyFramesDecoded: number;
  readonly freezeCount: number;
  readonly freezeMs: number;
  readonly width: number;
  readonly height: number;
  readonly codec: string;
  /** Round trip to the node. */
  readonly rttMs: number | undefined;
  /** Mean time of a frame in the jitter buffer. */
  readonly jitterBufferMs: number | undefined;
  /** Sum of squared sample values times duration (W3C webrtc-stats): above 0 when sound is heard. */
  readonly audioEnergy: number;
  /** SSRCs as received, video first: they stay the same when a stream's route changes. */
  readonly ssrcs: readonly number[];
}

export interface PublisherStats {
  readonly bytesSent: number;
  readonly packetsSent: number;
  readonly framesEncoded: number;
  readonly keyFramesEncoded: number;
  readonly width: number;
  readonly height: number;
  readonly codec: string;
  readonly rttMs: number | undefined;
  readonly lossPercent: number | undefined;
  /** Why the encoder sends less than it could: `none`, `cpu`, `bandwidth` or `other`. */
  readonly limitedBy: string;
}

type Row = Record<string, unknown> & { readonly id: string; readonly type: string };

export function playerStats(report: RTCStatsReport): PlayerStats {
  const rows = rowsOf(report);
  const inbound = rows.filter((row) => row.type === 'inbound-rtp');
  const video = inbound.find((row) => row.kind === 'video');
  const audio = inbound.find((row) => row.kind === 'audio');
  const emitted = num(video, 'jitterBufferEmittedCount');
  return {
    bytesReceived: num(video, 'bytesReceived') + num(audio, 'bytesReceived'),
    packetsReceived: num(video, 'packetsReceived') + num(audio, 'packetsReceived'),
    packetsLost: num(video, 'packetsLost') + num(audio, 'packetsLost'),
    framesDecoded: num(video, 'framesDecoded'),
    framesDropped: num(video, 'framesDropped'),
    keyFramesDecoded: num(video, 'keyFramesDecoded'),
    freezeCount: num(video, 'freezeCount'),
    freezeMs: num(video, 'totalFreezesDuration') * 1_000,
    width: num(video, 'frameWidth'),
    height: num(video, 'frameHeight'),
    codec: codecOf(rows, video),
    rttMs: pairRttMs(rows),
    jitterBufferMs: emitted > 0 ? (num(video, 'jitterBufferDelay') / emitted) * 1_000 : undefined,
    audioEnergy: num(audio, 'totalAudioEnergy'),
    ssrcs: [video, audio].flatMap((row) => (row ? [num(row, 'ssrc')] : [])),
  };
}

export function playbackSample(report: RTCStatsReport): PlaybackSample {
  const rows = rowsOf(report);
  const inbound = rows.filter((row) => row.type === 'inbound-rtp');
  const video = inbound.find((row) => row.kind === 'video');
  return {
    packets: sum(inbound, 'packetsReceived'),
    videoPackets: num(video, 'packetsReceived'),
    framesDecoded: num(video, 'framesDecoded'),
    codec: codecOf(rows, video).replace('video/', ''),
  };
}

export function publisherStats(report: RTCStatsReport): PublisherStats {
  const rows = rowsOf(report);
  const outbound = rows.filter((row) => row.type === 'outbound-rtp');
  const layers = outbound.filter((row) => row.kind === 'video');
  const top = layers.reduce<Row | undefined>(
    (best, row) => (num(row, 'frameHeight') >= num(best, 'frameHeight') ? row : best),
    undefined,
  );
  const lost = rows.filter((row) => row.type === 'remote-inbound-rtp').map((row) => num(row, 'fractionLost') * 100);
  return {
    bytesSent: sum(outbound, 'bytesSent'),
    packetsSent: sum(outbound, 'packetsSent'),
    framesEncoded: num(top, 'framesEncoded'),
    keyFramesEncoded: num(top, 'keyFramesEncoded'),
    width: num(top, 'frameWidth'),
    height: num(top, 'frameHeight'),
    codec: codecOf(rows, top),
    rttMs: pairRttMs(rows),
    lossPercent: lost.length > 0 ? Math.max(...lost) : undefined,
    limitedBy: typeof top?.qualityLimitationReason === 'string' ? top.qualityLimitationReason : 'none',
  };
}

function rowsOf(report: RTCStatsReport): Row[] {
  const rows: Row[] = [];
  report.forEach((row: Row) => rows.push(row));
  return rows;
}

function num(row: Row | undefined, name: string): number {
  const value = row?.[name];
  return typeof value === 'number' ? value : 0;
}

function sum(rows: readonly Row[], name: string): number {
  return rows.reduce((total, row) => total + num(row, name), 0);
}

function codecOf(rows: readonly Row[], stream: Row | undefined): string {
  const codec = rows.find((row) => row.id === stream?.codecId);
  return typeof codec?.mimeType === 'string' ? codec.mimeType : '';
}

function pairRttMs(rows: readonly Row[]): number | undefined {
  const pair = rows.find((row) => row.type === 'candidate-pair' && row.nominated === true && row.state === 'succeeded');
  return typeof pair?.currentRoundTripTime === 'number' ? pair.currentRoundTripTime * 1_000 : undefined;
}
