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
  unpublish(stream: string, epoch: number, session: string): void;
  resolve(stream: string): Promise<StreamState>;
  release(stream: string): void;
}
