import assert from 'node:assert/strict';

import { describe, test } from 'node:test';
import { connectionProblem } from './connected-peer.ts';
import { offerText } from '@millrace/testkit/sdp';
import { candidateAddresses, mediaSections } from './descriptions.ts';

const LOOPBACK = [{ address: '127.0.0.1', port: 40000, protocol: 'udp' }];
const PUBLIC = [...LOOPBACK, { address: '2001:db8::7', port: 40000, protocol: 'udp' }];

describe('a connection that cannot be established reports why', () => {
  test('no candidate pair works: the error lists the addresses of both sides', () => {
    const own = [
      { address: '192.0.2.2', port: 5000, protocol: 'udp' },
      { address: '192.0.2.2', port: 9, protocol: 'tcp' },
      { address: '5d6c1c0e-7f6e.local', port: 5001, protocol: 'udp' },
    ];
    const problem = connectionProblem('edge-0', { hasPath: false, nodeAddresses: PUBLIC, ownAddresses: own });
    assert.equal(problem.reason, 'IceFailed');
    assert.equal(
      problem.message,
      'no answer from edge-0 at 127.0.0.1:40000 (UDP) or [2001:db8::7]:40000 (UDP), tried from 192.0.2.2',
    );
    assert.match(problem.remedy, /firewall/);
  });

  test('a node with only a loopback address: the error says how to give it another', () => {
    const problem = connectionProblem('edge-0', { hasPath: false, nodeAddresses: LOOPBACK, ownAddresses: [] });
    assert.match(problem.remedy, /make up HOST=/);
  });

  test('a node that announces no address', () => {
    const problem = connectionProblem('edge-0', { hasPath: false, nodeAddresses: [], ownAddresses: [] });
    assert.equal(problem.message, 'edge-0 gave no address for media');
  });

  test('ICE connects but DTLS does not', () => {
    const problem = connectionProblem('edge-0', { hasPath: true, nodeAddresses: PUBLIC, ownAddresses: [] });
    assert.equal(problem.reason, 'DtlsFailed');
  });
});

describe('descriptions of real browsers', () => {
  test('codecs by section, without repair formats', () => {
    assert.deepEqual(mediaSections(offerText('firefox-whip')), [
      { kind: 'audio', isRejected: false, codecs: ['opus', 'G722', 'PCMU', 'PCMA'] },
      { kind: 'video', isRejected: false, codecs: ['VP8', 'VP9', 'AV1'] },
    ]);
  });

  test('addresses of candidates for RTP, each once', () => {
    assert.deepEqual(candidateAddresses(offerText('chromium-whep')), [
      { address: '127.0.0.1', port: 58963, protocol: 'udp' },
      { address: '127.0.0.1', port: 35381, protocol: 'udp' },
    ]);
  });
});
