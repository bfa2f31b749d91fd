import assert from 'node:assert/strict';
import { TICKS_PER_FRAME } from '@millrace/testkit/media';
import { accountFrames, findHoles, type ReceivedPacket } from '@millrace/testkit/media';
import type { ClipPublisher, PlainViewer } from '@millrace/testkit/media';
import { eventually } from '@millrace/testbed/network';

/** The frames that a plain RTP viewer receives, from the first packet on. */
export class CountedStream {
  readonly #publisher: ClipPublisher | undefined;
  readonly #viewer: PlainViewer;
  readonly #packets: ReceivedPacket[] = [];
  #stopped = false;

  constructor(publisher: ClipPublisher | undefined, viewer: PlainViewer) {
    this.#publisher = publisher;
    this.#viewer = viewer;
  }

  /** Waits for this many more frames. */
  async more(frames: number, withinMs: number): Promise<void> {
    const ends = () => this.#take().filter(({ marker }) => marker).length;
    const before = ends();
    await eventually(`${frames} more frames`, withinMs, () => (ends() >= before + frames ? true : undefined));
  }

  /** Asserts that every frame since the first received one has arrived, under one SSRC. */
  assertWhole(t: { diagnostic(text: string): void }): void {
    const packets = this.#take();
    const { complete, missingFrames, missingPackets, longestGapMs } = accountFrames(packets, TICKS_PER_FRAME);
    t.diagnostic(`${complete} frames came whole, ${missingFrames} missing; longest gap ${Math.round(longestGapMs)} ms`);
    assert.ok(complete > 0);
    const startMs = packets[0]?.atMs ?? 0;
    const holes = findHoles(packets, TICKS_PER_FRAME).map((hole) => ({ ...hole, atMs: Math.round(hole.atMs - startMs) }));
    const found = `${missingFrames} frames, ${missingPackets} packets missing; longest gap ${Math.round(longestGapMs)} ms; holes: `;
    assert.ok(missingFrames === 0 && missingPackets === 0, found + JSON.stringify(holes));
    assert.equal(this.#viewer.ssrcs.size, 1);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#publisher?.stop();
    this.#take();
    await this.#viewer.stop();
  }

  #take(): readonly ReceivedPacket[] {
    this.#packets.push(...this.#viewer.take());
    return this.#packets;
  }
}
