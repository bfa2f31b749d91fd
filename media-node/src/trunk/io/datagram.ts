/** Where a datagram comes from or goes to: an IP address literal and a UDP port. */
export interface PeerAddress {
  address: string;
  port: number;
}

export interface ReceivedDatagram {
  /** Owned by the receiver from the call on. */
  data: Buffer;
  from: PeerAddress;
}

export interface OutgoingDatagram {
  /** Not to be touched by the caller any more. */
  data: Buffer;
  to: PeerAddress;
}

/**
 * A UDP socket in batches, so that a backend with sendmmsg and recvmmsg fits behind it. Errors are never thrown: to a network, a datagram
 * that cannot be sent is one that was lost, and its receiver counts those. Counted are errors of the socket, and what it had no room for.
 */
export interface DatagramIo {
  readonly local: PeerAddress;
  /** Set once by the one who reads. */
  onBatch: (batch: ReceivedDatagram[]) => void;
  sendBatch(batch: OutgoingDatagram[]): void;
  /** IP addresses of a host, of the families that this socket sends to: a literal comes back as it is. None: it has no such address. */
  resolve(host: string): Promise<string[]>;
  /** Bytes of the largest datagram that the interface towards this address sends in one IP packet. Never rejects. Without it: as on Ethernet. */
  maxDatagramTo?(to: PeerAddress): Promise<number>;
  readonly counters: { sendErrors: number; sendDrops: number };
  close(): Promise<void>;
}
