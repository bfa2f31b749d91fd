import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Problem } from '@millrace/service';
import { requireRtpTarget } from './rtp-target.ts';

const takes = (ip: string, caller: string): boolean => {
  try {
    requireRtpTarget({ ip }, caller);
    return true;
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.status, 400);
    assert.match(error.message + String(error.detail), /address\.ip: /);
    return false;
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
      assert.equal(takes(ip, '127.0.0.1'), false, ip);
  });
  test('to this machine and its link only by who calls from there', () => {
    for (const ip of ['127.0.0.1', '127.9.9.9', '::1', '169.254.169.254', 'fe80::1', '::ffff:127.0.0.1']) {
      assert.equal(takes(ip, '203.0.113.9'), false, ip);
      assert.equal(takes(ip, '2001:db8::9'), false, ip);
      assert.equal(takes(ip, '127.0.0.1'), true, ip);
      assert.equal(takes(ip, '::ffff:127.0.0.1'), true, ip);
    }
  });
  test('to any host else, and to where a client with keys turns out to be', () => {
    for (const ip of ['203.0.113.9', '10.1.2.3', '192.168.1.7', '2001:db8::1', 'fd00::1'])
      assert.equal(takes(ip, '198.51.100.1'), true, ip);
    assert.doesNotThrow(() => requireRtpTarget(undefined, '203.0.113.9'));
  });
});
