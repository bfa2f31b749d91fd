import type { NodeSettings, StreamPolicy, StreamState, TrackDescription } from '@millrace/api';

/** What the hub needs of the channel to control. */
export interface StreamDirectory {
  readonly settings: NodeSettings | undefined;
  publish(request: {
    stream: string;
    session: string;
    user?: string;
    takeoverAllowed?: boolean;
    replaces?: string;
    tracks: TrackDescription[];
  }): Promise<{ epoch: number; policy: StreamPolicy }>;
  /** What is known of the tracks has changed; of an epoch that is no longer this session's it is passed over. */
  describe(stream: string, epoch: number, session: string, tracks: TrackDescription[]): void;
  unpublish(stream: string, epoch: number, session: string): void;
  resolve(stream: string): Promise<StreamState>;
  release(stream: string): void;
}
