// A process with only the relay of a media node. Run by figures/relay.ts; argv: its settings as JSON.
import { createLogger } from '@millrace/service';
import { Relay, type RelayConfiguration } from '@millrace/media-node/relay';

const relay = await Relay.start({
  trunk: { host: '127.0.0.1', port: 0 },
  logger: createLogger({ service: 'bench', level: 'error' }),
  self: { node: 'hop' },
  roles: ['relay'],
});
await relay.configure(JSON.parse(process.argv[2]!) as RelayConfiguration);
process.send!(relay.trunkPort);
// The parent process has ended.
process.on('disconnect', () => process.exit(0));
