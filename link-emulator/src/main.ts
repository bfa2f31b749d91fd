// An emulated link between UDP clients and a server: node link-emulator/src/main.ts --listen 127.0.0.1:5000 --to 127.0.0.1:6000 --loss 10% --rtt 80ms
import { ConfigError, HelpRequested, loadConfig } from '@millrace/service';
import { Flags, profilesOf } from './flags.ts';
import { UdpNetwork } from './udp-network.ts';

const SERVER = 'server';

function readFlags(): { flags: Flags; there: object; back: object } {
  try {
    const flags = loadConfig(Flags, { argv: process.argv.slice(2) });
    return { flags, ...profilesOf(flags) };
  } catch (error) {
    if (error instanceof HelpRequested) {
      process.stdout.write(`${error.message}\n`);
      process.exit(0);
    }
    if (!(error instanceof ConfigError) && !(error instanceof RangeError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

const { flags, there, back } = readFlags();
const network = new UdpNetwork({
  seed: flags.seed,
  host: flags.listen.address,
  strangers: true,
  profile: (_from, to) => (to === SERVER ? there : back),
});
try {
  const { proxy } = await network.addNode(SERVER, flags.to, flags.listen);
  process.stdout.write(`${proxy.address}:${proxy.port} -> ${flags.to.address}:${flags.to.port}\n`);
} catch (error) {
  process.stderr.write(`--listen: ${(error as Error).message}\n`);
  process.exit(1);
}

function report(): void {
  for (const { name } of network.nodes()) {
    if (name === SERVER) continue;
    const link = network.link(name, SERVER);
    process.stdout.write(`${JSON.stringify({ client: name, there: link.there.counters, back: link.back.counters })}\n`);
  }
  process.stdout.write(`${JSON.stringify({ timerError: network.takeLateness(), dropped: network.dropped })}\n`);
}

const reporting = flags.reportEvery > 0 ? setInterval(report, flags.reportEvery) : undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clearInterval(reporting);
    report();
    void network.close();
  });
}
