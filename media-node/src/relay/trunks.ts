import type { Hop } from '@millrace/api/trunk';
import type { Priority, TrunkStats } from '../trunk/index.ts';

/** What the relay needs of a trunk; the Trunk of media-node/src/trunk is one. */
export interface RelayTrunk {
  readonly peer: string;
  readonly state: 'connecting' | 'up' | 'lost' | 'closed';
  onControl: (message: Buffer) => void;
  onMedia: (conversation: number, payload: Buffer) => void;
  sendControl(message: Buffer): boolean;
  /** False when it was dropped at once. Payloads of one chain build on one another, up to the next that `starts` it anew. */
  sendMedia(send: { conversation: number; priority: Priority; payload: Buffer; chain?: number; starts?: boolean }): boolean;
  /** So much waits to be sent that what may come later should. */
  readonly isCongested: boolean;
  /** How many segments of a retransmission the conversation takes now. */
  mediaRoom(conversation: number): number;
  /** Segments that a payload of so many bytes takes. */
  segmentsOf(bytes: number): number;
  closeConversation(conversation: number): void;
  setInUse(inUse: boolean): void;
  stats(): TrunkStats;
  /** Tells the peer and ends. */
  close(): void;
  on(event: 'up' | 'closed', listener: () => void): unknown;
  on(event: 'lost', listener: (reason: string) => void): unknown;
}

/** What the relay needs of the endpoint of all trunks. */
export interface RelayTrunks {
  readonly trunks: Iterable<RelayTrunk>;
  dial(peer: Hop): RelayTrunk;
  trunk(node: string): RelayTrunk | undefined;
  /** Once for each peer, before its first 'up'. */
  on(event: 'trunk', listener: (trunk: RelayTrunk) => void): unknown;
}
