import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { NodeCertificateVerifier, PublicJwk, signNodeCertificate } from '@millrace/api';
import { DEFAULT_TRUNK_SETTINGS, type MeshKey, type Trunk, TrunkEndpoint } from './index.ts';
import { decodeHello } from './link/hello.ts';
import { Identity, SEED_BYTES } from './link/identity.ts';
import { memberInitiation } from './testing/initiation.ts';
import { SimNetwork, type SimIo } from './testing/sim-network.ts';

const KEY: MeshKey = { id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') };

function signer(kid: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { kid, key: privateKey, jwk: PublicJwk.parse({ ...publicKey.export({ format: 'jwk' }), kid }) };
}
type Signer = ReturnType<typeof signer>;
const [control, next, stranger] = [signer('c1'), signer('c2'), signer('c1')];

interface Node {
  endpoint: TrunkEndpoint;
  io: SimIo;
  trunks: string[];
}

const certify = ({ endpoint }: Node, by: Signer = control, name = endpoint.node): Buffer =>
  signNodeCertificate({ node: name, key: endpoint.identity.publicKey }, by);

function trust(node: Node, certificate: Buffer | undefined, ...keys: Signer[]): void {
  const authorities = new NodeCertificateVerifier(keys.map(({ jwk }) => jwk));
  node.endpoint.configure({ certification: { certificate, authorities } });
}

/** A node that holds the mesh key; certified by control unless the test says otherwise. */
function addNode(net: SimNetwork, name: string, address: string): Node {
  const io = net.socket(address);
  const { clock, randomBytes: random, defer } = net;
  const self = { node: name };
  const endpoint = new TrunkEndpoint({ io, self, keys: [KEY], settings: DEFAULT_TRUNK_SETTINGS, clock, random, defer });
  const node: Node = { endpoint, io, trunks: [] };
  endpoint.on('trunk', (trunk) => node.trunks.push(trunk.peer));
  trust(node, certify(node), control);
  return node;
}

async function dial(net: SimNetwork, from: Node, to: Node, node = to.endpoint.node): Promise<Trunk> {
  const trunk = from.endpoint.dial({ node, host: to.io.local.address, port: to.io.local.port });
  await new Promise((resolve) => setImmediate(resolve));
  net.run(3_000);
  return trunk;
}

describe('A holder of the mesh key', () => {
  test('brings a trunk up under its own name', async () => {
    const net = new SimNetwork(1);
    const [a, b] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2')];
    assert.equal((await dial(net, a, b)).state, 'up');
    assert.deepEqual(b.trunks, ['a']);
  });

  test('cannot speak as another node: with no certificate, one of another key, name or authority, or a copied one', async () => {
    const net = new SimNetwork(2);
    const [victim, honest] = [addNode(net, 'victim', '192.0.2.1'), addNode(net, 'honest', '192.0.2.2')];
    const copied = certify(victim);
    const attempts: [string, (impostor: Node) => Buffer | undefined][] = [
      ['none', () => undefined],
      ['for its own name', (impostor) => certify(impostor, control, 'evil')],
      ['of somebody else than control', (impostor) => certify(impostor, stranger)],
      ["the victim's", () => copied],
    ];
    for (const [i, [what, certificate]] of attempts.entries()) {
      const impostor = addNode(net, 'victim', `192.0.2.${10 + i}`);
      trust(impostor, certificate(impostor), control);
      const before = honest.endpoint.drops.uncertified ?? 0;
      assert.notEqual((await dial(net, impostor, honest)).state, 'up', what);
      assert.ok((honest.endpoint.drops.uncertified ?? 0) > before, what);
      assert.deepEqual(honest.trunks, [], `${what}: no trunk is set up for it`);
      await impostor.endpoint.close();
    }
    assert.equal((await dial(net, victim, honest)).state, 'up');
  });

  test('cannot answer for another node at its address', async () => {
    const net = new SimNetwork(3);
    const [dialler, evil] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'evil', '192.0.2.2')];
    const impostor = addNode(net, 'victim', '192.0.2.3');
    const victim = addNode(net, 'victim', '192.0.2.4');
    trust(impostor, certify(victim), control);
    assert.notEqual((await dial(net, dialler, impostor, 'victim')).state, 'up');
    assert.ok(dialler.endpoint.drops.uncertified! > 0);
    // Under its own certified name it answers nobody who asks for another.
    assert.notEqual((await dial(net, dialler, evil, 'other')).state, 'up');
  });

  test('cannot keep another node out by initiations in its name', async () => {
    const net = new SimNetwork(4);
    const [victim, honest] = [addNode(net, 'victim', '192.0.2.1'), addNode(net, 'honest', '192.0.2.2')];
    const identity = new Identity(net.randomBytes(SEED_BYTES));
    identity.certify(certify(victim), undefined);
    // Stamps far in the future, and more of them than a peer's answers last for.
    const stamp = BigInt(Math.floor(net.clock.wall() + 3_000_000_000)) * 1000n;
    for (let i = 0; i < 40; i++) {
      const forged = memberInitiation({ key: KEY, random: net.randomBytes, node: 'victim', peer: 'honest', identity, stamp });
      honest.io.receive({ data: forged, from: { address: '203.0.113.9', port: 1000 + i } });
    }
    net.run(10);
    assert.equal(honest.endpoint.drops.uncertified, 40);
    assert.equal((await dial(net, victim, honest)).state, 'up');
  });
});

describe('A signature of a hello', () => {
  test('counts for its own handshake only', () => {
    const net = new SimNetwork(5);
    const [a, b] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2')];
    const fields = { index: 1, stamp: 1n, boot: '00'.repeat(8), generation: 0, capabilities: 0, maxDatagram: 1472 };
    const names = { node: 'a', peer: 'b', receiveWindow: 1 };
    const [here, elsewhere] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const hello = decodeHello(a.endpoint.identity.hello({ ...fields, ...names }, here))!;
    assert.equal(b.endpoint.identity.trusts(hello, here), true);
    assert.equal(b.endpoint.identity.trusts(hello, elsewhere), false);
    for (let at = 0; at < hello.signed.length; at += 7) {
      const bent = Buffer.from(hello.signed);
      bent[at]! ^= 1;
      assert.equal(b.endpoint.identity.trusts({ ...hello, signed: bent }, here), false, `byte ${at}`);
    }
  });
});

describe("Control's keys change", () => {
  test('and no trunk notices: old and new certificates count until the old key is gone, then new ones only', async () => {
    const net = new SimNetwork(6);
    const [a, b, c] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2'), addNode(net, 'c', '192.0.2.3')];
    const trunk = await dial(net, a, b);
    let lost = 0;
    trunk.on('lost', () => (lost += 1));
    for (const node of [a, b, c]) trust(node, certify(node), control, next);
    trust(a, certify(a, next), control, next);
    net.run(150_000);
    for (const node of [a, b]) trust(node, certify(node, next), next);
    net.run(300_000);
    assert.equal(trunk.state, 'up');
    assert.equal(lost, 0, 'two minutes after each change the trunk has new keys');
    assert.notEqual((await dial(net, c, b)).state, 'up', 'c shows a certificate of the old key');
    trust(c, certify(c, next), next);
    net.run(3_000);
    assert.equal(c.endpoint.trunk('b')?.state, 'up');
  });
});
