import type { NodeSettings, StreamPolicy, StreamState, TrackDescription } from '@millrace/api';

/** The part of the channel to control that the hub uses. */
export interface StreamDirectory {
  readonly settings: NodeSettings | undefined;
  publish(request: {
    stream: string;
    session: string;
    /** The publisher's media token. */
    token?: string;
    replaces?: string;
    tracks: TrackDescription[];
  }): Promise<{ epoch: number; policy: StreamPolicy; grant?: string | undefined }>;
  /** What holds for a stream, whether or not somebody publishes it. */
  policy(stream: string): Promise<StreamPolicy>;
  /** Reports changed track descriptions. Ignored when the session no longer publishes the stream in this epoch. */
  describe(stream: string, epoch: number, session: string, tracks: TrackDescription[]): void;
  unpublish(stream: string, epoch: number, session: string): void;
  resolve(stream: string): Promise<StreamState>;
  release(stream: string): void;
}
