import type { EventEmitter } from 'node:events';
import type { TrackDescription } from '@millrace/api';

/** What the media side needs of the relay thread (../relay). Media itself goes over loopback UDP sockets, never through these calls. */
export interface MediaRelay {
  ingest(request: { stream: string; epoch: number; tracks: TrackDescription[]; rttMs?: number }): Promise<RelayIngest>;
  egress(request: { stream: string; epoch?: number; path: Hop[]; backup?: Hop[]; lingerMs: number }): Promise<RelayEgress>;
}

export interface Hop {
  node: string;
  host: string;
  port: number;
}

export interface RelayIngest extends EventEmitter {
  readonly address: { ip: string; port: number };
  setRtt(rttMs: number): void;
  close(reason?: string): void | Promise<void>;
}

export interface RelayEgress extends EventEmitter {
  description(): { stream: string; epoch: number; tracks: TrackDescription[] };
  attach(track: number, sink: EgressSink): void | Promise<void>;
  setLayers(track: number, mask: number): void;
  reroute(path: Hop[], backup?: Hop[]): void;
  stats(): EgressStats | Promise<EgressStats>;
  close(): void | Promise<void>;
}

export interface EgressSink {
  ip: string;
  port: number;
  payloadType: number;
  layers: { layer: number; ssrc: number }[];
}

export interface EgressStats {
  path: string[];
  rttMs: number;
  lossPercent: number;
}
