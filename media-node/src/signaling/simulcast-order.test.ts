import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test, type TestContext } from 'node:test';
import { rtpPacket } from '@millrace/testkit/rtp';
import type { types } from 'mediasoup';
import { frameSizeOf, isRtcp, RtpView, writeSenderReport } from '../rtp/index.ts';
import type { PushTrack } from '../sdp/index.ts';
import { eventually, newNetwork, startTestNode, type TestNode } from './node.fixture.ts';

const SIZES = [
  { width: 240, height: 136 },
  { width: 480, height: 270 },
  { width: 960, height: 540 },
];
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];
const FRAME_MS = 33;
const INITIAL_SSRC = 5000;

/** VP8 in layers of one SSRC each, `order[i]` the size of layer i; a keyframe of every layer each half second. */
class SimulcastSource {
  readonly #timer: NodeJS.Timeout;
  readonly #socket = createSocket('udp4');
  #frames = 0;

  constructor(order: readonly number[], port: number) {
    this.#timer = setInterval(() => {
      const isKeyframe = this.#frames % 15 === 0;
      for (const [layer, size] of order.entries()) this.#send(port, layer, SIZES[size]!, isKeyframe);
      this.#frames += 1;
    }, FRAME_MS);
  }

  #send(port: number, layer: number, { width, height }: (typeof SIZES)[number], isKeyframe: boolean): void {
    const ssrc = INITIAL_SSRC + layer;
    const timestamp = this.#frames * 3000 + layer * 100_000;
    if (this.#frames % 6 === 0) {
      const nowMs = Date.now();
      const [ntpSeconds, ntpFraction] = [Math.floor(nowMs / 1000) + 2_208_988_800, ((nowMs % 1000) / 1000) * 2 ** 32];
      const report = {
        ssrc,
        ntpSeconds,
        ntpFraction: Math.floor(ntpFraction),
        rtpTimestamp: timestamp,
        packets: this.#frames,
        octets: 0,
      };
      this.#socket.send(writeSenderReport(report), port, '127.0.0.1');
    }
    const head = isKeyframe
      ? [0x10, 0x10, 0, 0, 0x9d, 1, 0x2a, width & 255, width >> 8, height & 255, height >> 8]
      : [0x10, 0x11, 0, 0];
    const payload = Buffer.concat([Buffer.from(head), Buffer.alloc(200, 0x55)]);
    this.#socket.send(
      rtpPacket({ payloadType: 96, ssrc, seq: this.#frames, timestamp, marker: true, payload }),
      port,
      '127.0.0.1',
    );
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

function track(): PushTrack {
  return {
    mid: '0',
    kind: 'video',
    rtpParameters: {
      codecs: [
        {
          mimeType: 'video/VP8',
          payloadType: 96,
          clockRate: 90_000,
          parameters: {},
          rtcpFeedback: [{ type: 'nack', parameter: 'pli' }],
        },
      ],
      headerExtensions: [],
      encodings: SIZES.map((_, layer) => ({ ssrc: INITIAL_SSRC + layer, scalabilityMode: 'L1T1' })),
      rtcp: {},
    },
  };
}

const plainTransport = (comedia: boolean) => (router: types.Router) =>
  router.createPlainTransport({ listenInfo: { protocol: 'udp', ip: '127.0.0.1' }, rtcpMux: true, comedia });

async function publish(t: TestContext, node: TestNode, order: readonly number[]): Promise<SimulcastSource> {
  const published = await node.hub.publish({
    stream: 'live/layers',
    session: 's1',
    coreKey: 'live/layers',
    tracks: [track()],
    createTransport: plainTransport(true),
  });
  const source = new SimulcastSource(order, published.origin.transport.tuple.localPort);
  t.after(async () => {
    source.close();
    published.origin.close('the test ends');
    await eventually('the name is free', () => !node.directory.published.has('live/layers'));
  });
  return source;
}

/** Sees the sizes of the keyframes that it is sent. */
async function play(t: TestContext, node: TestNode) {
  const socket: Socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const view = new RtpView();
  const seen = { width: 0, ssrcs: new Set<number>(), steps: 0, lastSeq: -1 };
  socket.on('message', (packet) => {
    if (isRtcp(packet) || !view.parse(packet)) return;
    seen.ssrcs.add(view.ssrc);
    if (seen.lastSeq !== -1 && ((seen.lastSeq + 1) & 0xffff) !== view.seq) seen.steps += 1;
    seen.lastSeq = view.seq;
    seen.width = frameSizeOf('video/VP8', view)?.width ?? seen.width;
  });
  const { viewer, distribution } = await node.hub.withStream('live/layers', async (state) => {
    const served = await node.hub.distribute(state);
    const transport = await served.createTransport(plainTransport(false));
    await transport.connect({ ip: '127.0.0.1', port: socket.address().port });
    const selection = {
      mid: '0',
      kind: 'video' as const,
      track: 0,
      payloadType: 97,
      parameters: {},
      rtcpFeedback: [],
      wireMid: '0',
      extensions: [],
    };
    return { viewer: await served.addViewer(transport, [selection]), distribution: served };
  });
  t.after(() => {
    viewer.close('the test ends');
    socket.close();
  });
  return { viewer, distribution, seen };
}

describe('simulcast layers in an order that the SDP did not tell', { timeout: 120_000 }, () => {
  let origin: TestNode;
  let edge: TestNode;

  before(async () => {
    const network = newNetwork();
    origin = await startTestNode({ name: 'origin', network });
    edge = await startTestNode({ name: 'edge', network });
  });
  after(async () => {
    await edge.close();
    await origin.close();
  });

  for (const order of ORDERS) {
    test(`of sizes ${order.join(', ')}: viewers here and elsewhere see the best, and what they prefer`, async (t) => {
      const expected = [0, 1, 2].sort((a, b) => order[a]! - order[b]!);
      await publish(t, origin, order);
      const [here, elsewhere] = [await play(t, origin), await play(t, edge)];
      for (const { seen } of [here, elsewhere]) await eventually('the best layer', () => seen.width === SIZES[2]!.width);
      const known = (): number[] | undefined =>
        origin.directory.published.get('live/layers')?.state.tracks?.[0]?.layers.map(({ layer }) => layer);
      await eventually('control knows the order', () => JSON.stringify(known()) === JSON.stringify(expected));
      assert.deepEqual(
        elsewhere.distribution.tracks[0]!.layers.map(({ layer }) => layer),
        expected,
      );
      for (const rank of [0, 1, 2]) {
        await elsewhere.viewer.prefer({ spatialLayer: rank });
        await eventually(`layer ${rank}`, () => elsewhere.seen.width === SIZES[rank]!.width);
        assert.equal(elsewhere.viewer.layers()[0]!.current?.spatialLayer, rank);
      }
      assert.equal(here.seen.width, SIZES[2]!.width);
      for (const { seen } of [here, elsewhere]) assert.equal(seen.ssrcs.size, 1);
      assert.equal(here.seen.steps, 0, 'numbers go on without a step');
    });
  }

  test('a viewer that was there before the order was known goes on in its session, with the best', async (t) => {
    const published = await origin.hub.publish({
      stream: 'live/layers',
      session: 's1',
      coreKey: 'live/layers',
      tracks: [track()],
      createTransport: plainTransport(true),
    });
    t.after(() => published.origin.close('the test ends'));
    const { seen, viewer } = await play(t, origin);
    const port = published.origin.transport.tuple.localPort;
    // Two layers in the order that was assumed; the third, which comes later, is the smallest.
    const source = new SimulcastSource([2, 1, 0], port);
    t.after(() => source.close());
    await eventually('the best layer', () => seen.width === SIZES[2]!.width);
    await viewer.prefer({ spatialLayer: 0 });
    await eventually('the least one', () => seen.width === SIZES[0]!.width);
    assert.equal(seen.ssrcs.size, 1);
  });
});
