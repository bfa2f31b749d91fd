import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Control } from '@millrace/control';
import { loadOrCreateCertificates } from '@millrace/standalone/certificates';
import { ControlNetwork, eventually } from './control-network.ts';

describe('a control with a certificate', () => {
  let network: ControlNetwork;
  let control: Control;
  let caFile: string;
  before(async () => {
    network = await ControlNetwork.start();
    const tlsDir = join(network.folder, 'tls');
    await mkdir(tlsDir);
    const { key, cert, ca } = await loadOrCreateCertificates(tlsDir, ['127.0.0.1'], Date.now());
    caFile = join(network.folder, 'ca.crt');
    await Promise.all([writeFile(join(tlsDir, 'tls.key'), key), writeFile(join(tlsDir, 'tls.crt'), cert), writeFile(caFile, ca)]);
    control = await network.control({ tlsDir });
  });
  after(() => network.stop());

  test('serves nodes that trust its CA by wss://', async () => {
    assert.match(control.agentUrl, /^wss:/);
    const channel = await (await network.node('trusts')).connect([control.agentUrl], { caFile });
    assert.equal(channel.state, 'connected');
  });

  test('is not believed by a node that does not', async () => {
    const node = await network.node('doubts');
    await node.renewToken();
    const channel = node.channel([control.agentUrl]);
    await channel.start();
    await eventually(() => Promise.resolve(channel.state === 'disconnected'), 'the refusal');
    await channel.stop();
  });
});
