import { createSocket, type Socket } from 'node:dgram';

export interface SocketAddress {
  ip: string;
  port: number;
}

/** A UDP socket on loopback, between the relay and mediasoup. */
export interface RtpSocket {
  readonly address: SocketAddress;
  /** The receiver owns the buffer. */
  onMessage: (packet: Buffer) => void;
  /** Sends the first `length` bytes to the remote address. False when the packet was dropped because the socket is full. */
  send(packet: Buffer, length: number): boolean;
  /** Packets accepted by `send` but not yet by the kernel; until then their buffers must not be written to. */
  readonly queued: number;
  close(): void;
}

export interface RtpSockets {
  /** Opens a socket on a free port of the local IP; with `remote`, it is connected to that address. */
  open(localIp: string, remote?: SocketAddress): Promise<RtpSocket>;
}

/** Holds the burst of a keyframe at a high bitrate while the thread is busy. Bounded by net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const SEND_BUFFER_BYTES = 2 * 1024 * 1024;
const MAX_QUEUED = 256;

/** Sockets of node:dgram. `onError` receives asynchronous errors, such as a refused port. */
export class DgramRtpSockets implements RtpSockets {
  readonly #onError: (error: Error) => void;

  constructor(onError: (error: Error) => void) {
    this.#onError = onError;
  }

  async open(localIp: string, remote?: SocketAddress): Promise<RtpSocket> {
    const socket = createSocket({ type: localIp.includes(':') ? 'udp6' : 'udp4' });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, localIp, resolve);
    });
    if (remote)
      await new Promise<void>((resolve, reject) =>
        socket.connect(remote.port, remote.ip, (error?: Error) => (error ? reject(error) : resolve())),
      );
    socket.removeAllListeners('error');
    socket.on('error', this.#onError);
    setBufferSizes(socket);
    return new DgramRtpSocket(socket);
  }
}

class DgramRtpSocket implements RtpSocket {
  readonly address: SocketAddress;
  onMessage: (packet: Buffer) => void = () => {};
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    const { address, port } = socket.address();
    this.address = { ip: address, port };
    socket.on('message', (packet) => this.onMessage(packet));
  }

  get queued(): number {
    return this.#socket.getSendQueueCount();
  }

  send(packet: Buffer, length: number): boolean {
    if (this.#socket.getSendQueueCount() >= MAX_QUEUED) return false;
    this.#socket.send(packet, 0, length);
    return true;
  }

  close(): void {
    this.#socket.removeAllListeners('message');
    this.#socket.close();
  }
}

/** As large as the kernel allows, up to what a burst needs. */
export function setBufferSizes(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    socket.setSendBufferSize(SEND_BUFFER_BYTES);
  } catch {
    // The kernel's limit stands then; the node reports it (MediaNode.status.kernel).
  }
}
