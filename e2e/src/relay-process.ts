// A relay in a separate process, controlled by messages of the test that forked it. argv: its name, its mesh as JSON.
import { createLogger } from '@millrace/service';
import type { EgressHandle, IngestHandle, RelayConfiguration } from '@millrace/media-node/relay';
import { Relay } from '@millrace/media-node/relay';
import type { RelayCall } from './relay-fleet.ts';

const [name, mesh] = [process.argv[2]!, JSON.parse(process.argv[3]!) as RelayConfiguration['mesh']];
const relay = await Relay.start({
  trunk: { host: '127.0.0.1', port: 0 },
  logger: createLogger({ service: name, level: 'silent' }),
  self: { node: name },
  roles: ['relay'],
});
await relay.configure({ mesh, peers: [], probe: [] });
const egresses = new Map<string, EgressHandle>();
const ingests = new Map<string, IngestHandle>();

async function run(call: RelayCall): Promise<unknown> {
  switch (call.do) {
    case 'peers': {
      const probe = call.peers.map((peer) => peer.node);
      return relay.configure({ mesh, peers: call.peers.map((peer) => ({ ...peer, region: 'any' })), probe });
    }
    case 'ingest': {
      const ingest = await relay.ingest({ stream: call.stream, epoch: 1000, tracks: call.tracks, rttMs: 1 });
      ingest.on('keyframe', () => process.send!({ keyframe: call.stream }));
      ingests.set(call.stream, ingest);
      return ingest.address;
    }
    case 'egress': {
      const egress = await relay.egress({ stream: call.stream, path: call.path, backup: call.backup, lingerMs: 0 });
      egresses.set(call.stream, egress);
      await egress.described(10_000);
      for (const { track, ...to } of call.attachments) await egress.attach(track, to);
      return undefined;
    }
    case 'reroute':
      return egresses.get(call.stream)!.reroute({ path: call.path, backup: call.backup });
    case 'pathOf':
      return (await egresses.get(call.stream)!.stats()).nodes;
    case 'links':
      return relay.links();
  }
}

process.on('message', ({ id, call }: { id: number; call: RelayCall }) => {
  run(call).then(
    (value) => process.send!({ id, value }),
    (error: unknown) => process.send!({ id, error: String(error) }),
  );
});
// The parent process has ended.
process.on('disconnect', () => process.exit(0));
process.send!({ port: relay.trunkPort });
