/**
 * CPU cost of a trunk: packets between two endpoints of this process over loopback sockets, sender and receiver counted together.
 *
 *   node media-node/src/trunk/bench.ts [seconds=5] [bytes=1150] [conversations=40] [fec=off|on] [rate=max|packets per second]
 */
import { once } from 'node:events';
import { DEFAULT_TRUNK_SETTINGS, DgramIo, TrunkEndpoint } from './index.ts';

const [seconds = '5', bytes = '1150', conversations = '40', fec = 'off', rate = 'max'] = process.argv.slice(2);
/** Most packets in flight: as many as fit the default socket buffer, so that the benchmark measures no retransmissions. */
const MAX_OUT = 64;
const BURST = 32;
const keys = [{ id: 'bench', secret: Buffer.alloc(32, 1).toString('base64') }];
const settings = {
  ...DEFAULT_TRUNK_SETTINGS,
  rateCapMbps: 20_000,
  fec: fec === 'on' ? ({ mode: 'Fixed', dataShards: 10, parityShards: 2 } as const) : ({ mode: 'Off' } as const),
};

const sender = new TrunkEndpoint({
  io: await DgramIo.open({ host: '127.0.0.1', port: 0 }),
  self: { node: 'sender' },
  keys,
  settings,
});
const receiverIo = await DgramIo.open({ host: '127.0.0.1', port: 0 });
const receiver = new TrunkEndpoint({ io: receiverIo, self: { node: 'receiver' }, keys, settings });

let received = 0;
receiver.on('trunk', (trunk) => (trunk.onMedia = () => void received++));
const trunk = sender.dial({ node: 'receiver', host: '127.0.0.1', port: receiverIo.local.port });
await once(trunk, 'up');
trunk.setInUse(true);

const payload = Buffer.alloc(Number(bytes), 7);
const budget = rate === 'max' ? Infinity : Number(rate);
let sent = 0;
const startMs = performance.now();
const startCpu = process.cpuUsage();
const endMs = startMs + Number(seconds) * 1000;

function burst(): void {
  const nowMs = performance.now();
  if (nowMs >= endMs) return finish();
  const allowed = Math.min(BURST, ((nowMs - startMs) / 1000) * budget - sent, MAX_OUT - (sent - received));
  for (let i = 0; i < allowed; i++)
    trunk.sendMedia({ conversation: 1 + (sent++ % Number(conversations)), priority: 'video', payload });
  if (budget === Infinity) setImmediate(burst);
  else setTimeout(burst, 1);
}

function finish(): void {
  const cpu = process.cpuUsage(startCpu);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  const wallSeconds = (performance.now() - startMs) / 1000;
  const { association, sentDatagrams, receivedDatagrams } = trunk.stats();
  const { arq, fec: fecStats, windowFull } = association!;
  console.log(
    JSON.stringify({
      packetsPerCpuSecond: Math.round(received / cpuSeconds),
      cpuMicrosPerPacket: +((cpuSeconds / received) * 1e6).toFixed(2),
      systemShare: +(cpu.system / (cpu.user + cpu.system)).toFixed(2),
      packetsPerSecond: Math.round(received / wallSeconds),
      mbps: Math.round((received * Number(bytes) * 8) / wallSeconds / 1e6),
      sent,
      received,
      retransmitted: arq.retransmitted,
      windowFull,
      paritySent: fecStats.paritySent,
      sentDatagrams,
      ackDatagrams: receivedDatagrams,
    }),
  );
  void sender.close();
  void receiver.close();
}

burst();
