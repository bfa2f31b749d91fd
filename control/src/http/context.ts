import type { IceServer } from '@millrace/api';
import type { AddressRate, Clock, HttpRefusal, Logger } from '@millrace/service';
import type { ControlMetrics } from '../metrics.ts';
import type { Fleet } from '../fleet/index.ts';
import type { Placer } from '../placement/index.ts';
import type { LiveStreams } from '../streams/index.ts';
import type { AppKeys, SigningKeys } from '../tokens/index.ts';

export interface HttpContext {
  fleet: Fleet;
  streams: LiveStreams;
  placer: Placer;
  signingKeys: SigningKeys;
  appKeys: AppKeys;
  metrics: ControlMetrics;
  /** Allows GET without an app key: for a console on the same machine. */
  publicReads: boolean;
  /** Origins that browsers may call from; `*` for any. */
  corsOrigins: readonly string[];
  iceServers: readonly IceServer[];
  tokenTtlSeconds: number;
  /** Proxies whose X-Forwarded-For and Forwarded are trusted. */
  isTrusted: (address: string) => boolean;
  /** Limits all requests by client address. */
  requestRate: AddressRate;
  onRefused: (reason: HttpRefusal) => void;
  clock: Clock;
  logger: Logger;
}
