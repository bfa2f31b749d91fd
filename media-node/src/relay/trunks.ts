import type { Hop } from '@millrace/api/trunk';
import type { Priority, TrunkStats } from '../trunk/index.ts';

/** What the relay needs from a trunk; implemented by Trunk in media-node/src/trunk. */
export interface RelayTrunk {
  readonly peer: string;
  readonly state: 'connecting' | 'up' | 'lost' | 'closed';
  onControl: (message: Buffer) => void;
  onMedia: (conversation: number, payload: Buffer) => void;
  sendControl(message: Buffer): boolean;
  /** False when the payload was dropped at once. Payloads of one chain depend on one another, up to the next one with `starts`. */
  sendMedia(send: { conversation: number; priority: Priority; payload: Buffer; chain?: number; starts?: boolean }): boolean;
  /** The send queue is above its high-water mark: optional media should wait. */
  readonly isCongested: boolean;
  /** How many segments of a replay fit into the conversation's window now. */
  mediaRoom(conversation: number): number;
  /** Number of segments of a payload of this many bytes. */
  segmentsOf(bytes: number): number;
  closeConversation(conversation: number): void;
  setInUse(inUse: boolean): void;
  stats(): TrunkStats;
  /** Notifies the peer and closes. */
  close(): void;
  on(event: 'up' | 'closed', listener: () => void): unknown;
  on(event: 'lost', listener: (reason: string) => void): unknown;
}

/** What the relay needs from the endpoint of all trunks. */
export interface RelayTrunks {
  readonly trunks: Iterable<RelayTrunk>;
  dial(peer: Hop): RelayTrunk;
  trunk(node: string): RelayTrunk | undefined;
  /** Emitted once for each peer, before its first 'up'. */
  on(event: 'trunk', listener: (trunk: RelayTrunk) => void): unknown;
}
