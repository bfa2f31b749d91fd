// Writes the offers of this machine's browsers to testkit/src/sdp/offers, for the tests of negotiation. Run it for a new version of a
// browser: scripts/setup/main.sh node chromium firefox -- node testbed/src/capture-offers.ts
import { writeFileSync } from 'node:fs';
import { browserNames, launchBrowser } from './browser.ts';

const OFFERS = new URL('../../testkit/src/sdp/offers/', import.meta.url);

for (const name of browserNames) {
  const browser = await launchBrowser({ name });
  try {
    const page = await browser.newPage();
    const offers = await page.evaluate(async () => {
      const offerOf = async (add: (peer: RTCPeerConnection) => void): Promise<string> => {
        const peer = new RTCPeerConnection();
        add(peer);
        await peer.setLocalDescription();
        const { sdp } = peer.localDescription!;
        peer.close();
        return sdp;
      };
      const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      const push = (peer: RTCPeerConnection, sendEncodings: RTCRtpEncodingParameters[]): void => {
        for (const track of media.getTracks())
          peer.addTransceiver(track, {
            direction: 'sendonly',
            streams: [media],
            ...(track.kind === 'video' ? { sendEncodings } : {}),
          });
      };
      const layers = [{ rid: 'q', scaleResolutionDownBy: 4 }, { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }];
      return {
        whip: await offerOf((peer) => push(peer, [{}])),
        'whip-simulcast': await offerOf((peer) => push(peer, layers)),
        whep: await offerOf((peer) => {
          for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
        }),
      };
    });
    for (const [kind, sdp] of Object.entries(offers))
      writeFileSync(new URL(`${name}-${kind}.sdp`, OFFERS), sdp.replaceAll('\r\n', '\n'));
  } finally {
    await browser.close();
  }
}
