import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { rtpPacket } from '@millrace/testkit/rtp';
import { isRtcp, RtpView, setPayloadType, setSequence, setSsrc, setTimestamp, payloadBytes } from './rtp-packet.ts';

describe('the RTP view', () => {
  const view = new RtpView();

  test('reads header, contributing sources, extensions, payload and padding', () => {
    const packet = rtpPacket({
      payloadType: 102,
      seq: 65535,
      timestamp: 0xffff_fff0,
      ssrc: 0xdead_beef,
      marker: true,
      csrcs: [1, 2],
      extensions: { 3: Buffer.from('abc'), 5: Buffer.from('z') },
      padding: 4,
      payload: [9, 8, 7],
    });
    assert.ok(view.parse(packet));
    assert.deepEqual(
      [view.payloadType, view.seq, view.timestamp, view.ssrc, view.marker],
      [102, 65535, 0xffff_fff0, 0xdead_beef, true],
    );
    assert.deepEqual([...packet.subarray(view.payloadStart, view.payloadEnd)], [9, 8, 7]);
    assert.ok(view.findExtension(3));
    assert.equal(packet.toString('latin1', view.extensionStart, view.extensionEnd), 'abc');
    assert.ok(view.findExtension(5));
    assert.ok(!view.findExtension(4));
  });

  test('finds extensions in the two-byte form', () => {
    const packet = rtpPacket({ twoByte: true, extensions: { 1: Buffer.alloc(20, 7), 200: Buffer.from('xy') }, payload: [1] });
    assert.ok(view.parse(packet) && view.findExtension(200));
    assert.equal(packet.toString('latin1', view.extensionStart, view.extensionEnd), 'xy');
  });

  test('works on a packet in the middle of a buffer', () => {
    const packet = rtpPacket({ seq: 7, payload: [1, 2] });
    const buffer = Buffer.concat([Buffer.alloc(16), packet, Buffer.alloc(3)]);
    assert.ok(view.parse(buffer, 16, 16 + packet.length));
    assert.deepEqual([view.seq, view.payloadStart, view.payloadEnd], [7, 28, 30]);
  });

  test('changes fields in place and nothing else', () => {
    const packet = rtpPacket({ payloadType: 96, marker: true, seq: 1, timestamp: 2, ssrc: 3, payload: [42] });
    setPayloadType(packet, 0, 111);
    setSequence(packet, 0, 70_000);
    setTimestamp(packet, 0, 2 ** 32 + 5);
    setSsrc(packet, 0, 0xcafe_babe);
    const same = rtpPacket({
      payloadType: 111,
      marker: true,
      seq: 70_000 & 0xffff,
      timestamp: 5,
      ssrc: 0xcafe_babe,
      payload: [42],
    });
    assert.deepEqual(packet, same);
  });

  test('refuses what is cut or no RTP', () => {
    const whole = rtpPacket({ csrcs: [1], extensions: { 1: Buffer.from('abcd') }, payload: [1] });
    const headerBytes = 12 + 4 + 4 + 8;
    for (let length = 0; length < headerBytes; length++) assert.ok(!view.parse(whole.subarray(0, length)), `${length} bytes`);
    assert.ok(!view.parse(Buffer.from(whole).fill(0x40, 0, 1)), 'version 1');
    assert.ok(!view.parse(Buffer.from(rtpPacket({ padding: 4 })).fill(200, 15, 16)), 'padding longer than the packet');
    assert.ok(!view.parse(Buffer.from(rtpPacket({ padding: 4 })).fill(0, 15, 16)), 'padding of zero');
  });

  test('stays within the packet for any bytes', () => {
    const bytes = fc.uint8Array({ maxLength: 80 });
    const likely = bytes.map((tail) => Uint8Array.from([0xbf, 96, ...tail]));
    fc.assert(
      fc.property(fc.oneof(bytes, likely), fc.nat(15), (input, id) => {
        const packet = Buffer.from(input);
        if (!view.parse(packet)) return;
        assert.ok(view.payloadStart <= view.payloadEnd && view.payloadEnd <= packet.length);
        if (view.findExtension(id)) assert.ok(view.extensionStart <= view.extensionEnd && view.extensionEnd <= view.payloadStart);
      }),
      { numRuns: 3000 },
    );
  });

  test('knows RTCP on the same port by its packet type', () => {
    assert.ok(isRtcp(Buffer.from([0x80, 200, 0, 1, 0, 0, 0, 0])));
    assert.ok(!isRtcp(rtpPacket({ payloadType: 127, marker: false })));
    assert.ok(!isRtcp(rtpPacket({ payloadType: 96, marker: true })));
  });

  test('has as many payload bytes as a sender report counts', () => {
    const extensions = { 3: Buffer.alloc(5) };
    for (const fields of [
      {},
      { csrcs: [1, 2] },
      { padding: 9 },
      { extensions },
      { csrcs: [1], padding: 4, extensions, twoByte: true },
    ]) {
      const packet = Buffer.concat([Buffer.alloc(7), rtpPacket({ ...fields, payload: Buffer.alloc(100) })]);
      assert.equal(payloadBytes(packet, 7, packet.length), 100, JSON.stringify(fields));
    }
  });
});
