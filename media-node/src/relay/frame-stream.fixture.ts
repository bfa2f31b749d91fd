import { AUDIO_MS, FrameAccount, FRAME_MS, type FrameShape, FrameSource, type Showing } from '@millrace/testkit/rtp';
import { AUDIO_TRACK, VIDEO_TRACK } from '@millrace/testkit/rtp';
import { type SimulatedMesh, type SimulatedNode } from './simulated-mesh.fixture.ts';

/** Video of 30 frames a second, some packets each, and audio of 50 packets a second, as an encoder sends them. */
export class FramePublisher {
  readonly source: FrameSource;
  readonly #mesh: SimulatedMesh;
  readonly #node: SimulatedNode;
  readonly #stream: string;
  #port = 0;
  #events = 0;
  #startMs = 0;

  constructor(mesh: SimulatedMesh, node: string, stream: string, shape: FrameShape = {}) {
    this.source = new FrameSource(shape);
    this.#mesh = mesh;
    this.#node = mesh.node(node);
    this.#stream = stream;
  }

  async start(): Promise<void> {
    const request = { id: this.#stream, stream: this.#stream, epoch: 1000, tracks: [VIDEO_TRACK, AUDIO_TRACK], rttMs: 20 };
    this.#port = (await this.#node.relay.ingest(request)).port;
    this.#startMs = this.#mesh.clock.now();
    this.#sendFrame();
    this.#sendAudio();
  }

  #sendFrame(): void {
    const { source } = this;
    const { events } = this.#node;
    source.keyframeWanted = events
      .slice(this.#events)
      .some((event) => event.type === 'keyframe' && event.ingest === this.#stream);
    this.#events = events.length;
    for (const packet of source.nextFrame(this.#mesh.clock.now())) this.#node.sockets.deliver(this.#port, packet);
    this.#after(source.sentMs.length * FRAME_MS, () => this.#sendFrame());
  }

  #sendAudio(): void {
    this.#node.sockets.deliver(this.#port, this.source.nextAudio(this.#mesh.clock.now()));
    this.#after(this.source.audioSentMs.length * AUDIO_MS, () => this.#sendAudio());
  }

  #after(ms: number, run: () => void): void {
    this.#mesh.clock.setTimeout(run, Math.max(0, this.#startMs + ms - this.#mesh.clock.now()));
  }
}

let nextViewer = 0;

/** A viewer's node, which takes down what comes of a FramePublisher. */
export class FrameViewer {
  readonly #id = `viewer-${nextViewer++}`;
  readonly #mesh: SimulatedMesh;
  readonly #node: SimulatedNode;
  readonly #account: FrameAccount;

  constructor(mesh: SimulatedMesh, node: string, publisher: FramePublisher) {
    this.#mesh = mesh;
    this.#node = mesh.node(node);
    this.#account = new FrameAccount(publisher.source);
  }

  async start(stream: string, path: string[], backup: string[] = []): Promise<void> {
    const { relay, sockets } = this.#node;
    const port = 61_000 + nextViewer * 2;
    sockets.listen(port, (packet) => this.#account.onVideo(packet, this.#mesh.clock.now()));
    sockets.listen(port + 1, (packet) => this.#account.onAudio(packet));
    relay.egress({ id: this.#id, stream, path, backup, lingerMs: 2000 });
    await relay.attach(this.#id, 0, { ip: '127.0.0.1', port, payloadType: 96, layers: [{ rank: 0, ssrc: 7000 }] });
    await relay.attach(this.#id, 1, { ip: '127.0.0.1', port: port + 1, payloadType: 97, layers: [{ rank: 0, ssrc: 8000 }] });
  }

  get path(): readonly string[] {
    return this.#node.relay.egressStats(this.#id).nodes;
  }

  showing(fromMs: number, toMs: number): Showing {
    return this.#account.showing(fromMs, toMs);
  }
}
