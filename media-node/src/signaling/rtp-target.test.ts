import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Problem } from '@millrace/service';
import { requireRtpTarget } from './rtp-target.ts';

/** 200, or the status of the refusal. */
const statusOf = (ip: string, caller: string, granted?: string): number => {
  try {
    requireRtpTarget({ ip }, caller, granted);
    return 200;
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.match(error.message + String(error.detail), /address\.ip: /);
    return error.status;
  }
};

describe('where plain RTP may be sent', () => {
  test('not to many, nor to nobody', () => {
    for (const ip of [
      '0.0.0.0',
      '0.1.2.3',
      '224.0.0.1',
      '239.1.2.3',
      '255.255.255.255',
      '240.0.0.1',
      '::',
      'ff02::1',
      '::ffff:224.0.0.1',
    ])
      assert.deepEqual([statusOf(ip, '127.0.0.1'), statusOf(ip, ip, ip)], [400, 400], ip);
  });
  test('to this machine and its link only by who calls from there', () => {
    for (const ip of ['127.0.0.1', '127.9.9.9', '::1', '169.254.169.254', 'fe80::1', '::ffff:127.0.0.1']) {
      assert.equal(statusOf(ip, '203.0.113.9', ip), 400, ip);
      assert.equal(statusOf(ip, '2001:db8::9', ip), 400, ip);
      assert.equal(statusOf(ip, '127.0.0.1', ip), 200, ip);
      assert.equal(statusOf(ip, '::ffff:127.0.0.1', ip), 200, ip);
    }
  });
  test('to the client itself, however its address is written', () => {
    for (const [ip, caller] of [
      ['203.0.113.9', '203.0.113.9'],
      ['203.0.113.9', '::ffff:203.0.113.9'],
      ['2001:db8::1', '2001:0DB8:0:0::1'],
      ['127.0.0.1', '::ffff:127.0.0.1'],
    ] as const)
      assert.equal(statusOf(ip, caller), 200, ip);
  });
  test('to another host only when the token says so', () => {
    for (const ip of ['203.0.113.9', '10.1.2.3', '2001:db8::1', 'fd00::1']) {
      assert.equal(statusOf(ip, '198.51.100.1'), 403, ip);
      assert.equal(statusOf(ip, '198.51.100.1', '198.51.100.2'), 403, ip);
      assert.equal(statusOf(ip, '198.51.100.1', ip), 200, ip);
    }
    assert.equal(statusOf('10.1.2.3', ''), 403);
  });
  test('to where a client with keys turns out to be', () => {
    assert.doesNotThrow(() => requireRtpTarget(undefined, '203.0.113.9'));
  });
});
