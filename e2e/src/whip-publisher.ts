// A WHIP publisher in a process that tests can kill or stop: sends synthetic VP8 and Opus to MILLRACE_TEST_WHIP_URL with MILLRACE_TEST_TOKEN.
import { newPublisher } from '@millrace/testkit/webrtc';

const publisher = await newPublisher();
const response = await fetch(process.env['MILLRACE_TEST_WHIP_URL'] ?? '', {
  method: 'POST',
  headers: { 'content-type': 'application/sdp', authorization: `Bearer ${process.env['MILLRACE_TEST_TOKEN'] ?? ''}` },
  body: publisher.offer,
});
const answer = await response.text();
if (response.status !== 201) throw new Error(`WHIP answered ${response.status}: ${answer}`);
await publisher.accept(answer);
