import { createSocket } from 'node:dgram';
import { createWorker, type types } from 'mediasoup';
import type { Clip } from '@millrace/testkit/media';
import { asksForKeyframe, ClipSender, PAYLOAD_TYPE } from '@millrace/testkit/media';
import { CRYPTO_SUITE, newSrtpKey } from '../media/srtp.ts';

const SSRC = 0x6d720b02;
const LISTEN: types.TransportListenInfo = { protocol: 'udp', ip: '127.0.0.1' };
const KEYFRAME_REQUESTS = [{ type: 'nack', parameter: 'pli' }];
const CODEC: types.RouterRtpCodecCapability = {
  kind: 'video',
  mimeType: 'video/H264',
  clockRate: 90_000,
  preferredPayloadType: PAYLOAD_TYPE,
  parameters: { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 },
};

export interface BareWorker {
  readonly pid: number;
  stop(): void;
}

/** The reference: mediasoup alone, with one producer and a plain transport with SRTP for each viewer. */
export async function startBareWorker(clip: Clip, viewerPorts: readonly number[]): Promise<BareWorker> {
  const worker = await createWorker({ logLevel: 'error' });
  const socket = createSocket('udp4');
  try {
    const router = await worker.createRouter({ mediaCodecs: [CODEC] });
    const source = await router.createPlainTransport({ listenInfo: LISTEN, comedia: true, rtcpMux: true });
    const producer = await source.produce({
      kind: 'video',
      rtpParameters: {
        codecs: [{ ...CODEC, mimeType: 'video/H264', payloadType: PAYLOAD_TYPE, rtcpFeedback: KEYFRAME_REQUESTS }],
        encodings: [{ ssrc: SSRC }],
      },
    });
    const { localPort } = source.tuple;
    const sender = new ClipSender({ clip, ssrc: SSRC, send: (packet) => socket.send(packet, localPort, '127.0.0.1') });
    socket.on('message', (packet) => {
      if (asksForKeyframe(packet)) sender.keyframe();
    });
    for (const port of viewerPorts) await addViewer(router, producer, port);
    return {
      pid: worker.pid,
      stop: () => {
        sender.stop();
        socket.close();
        worker.close();
      },
    };
  } catch (error) {
    worker.close();
    socket.close();
    throw error;
  }
}

async function addViewer(router: types.Router, producer: types.Producer, port: number): Promise<void> {
  const transport = await router.createPlainTransport({
    listenInfo: LISTEN,
    rtcpMux: true,
    enableSrtp: true,
    srtpCryptoSuite: CRYPTO_SUITE,
  });
  await transport.connect({ ip: '127.0.0.1', port, srtpParameters: { cryptoSuite: CRYPTO_SUITE, keyBase64: newSrtpKey() } });
  // Like the node's plain viewers: no bandwidth estimation, no retransmission.
  const codecs = router.rtpCapabilities.codecs!.map((codec) => ({ ...codec, rtcpFeedback: KEYFRAME_REQUESTS }));
  await transport.consume({ producerId: producer.id, rtpCapabilities: { codecs, headerExtensions: [] } });
}
