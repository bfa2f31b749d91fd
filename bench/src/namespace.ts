import { spawnSync } from 'node:child_process';

const INSIDE = 'MILLRACE_BENCH_NAMESPACE';
/** Loopback alone, and a default route over it: browsers ask the kernel which address they would go out by. */
const PREPARE = 'ip link set lo up && ip route add default dev lo';

/** Where the packets of this run go, in words. */
export function describeNamespace(): string {
  return process.env[INSIDE]
    ? 'a network namespace of its own, loopback only'
    : "the host's network: its firewall and connection tracking cost CPU for each packet";
}

/**
 * Goes on as the same process in a network namespace of its own, where the host's connection tracking rules do not apply.
 * Returns where this is not allowed, or is so already.
 */
export function enterNamespace(): void {
  if (process.env[INSIDE]) return;
  const unshare = [['--net'], ['--net', '--map-root-user']].find(
    (flags) => spawnSync('unshare', [...flags, 'sh', '-c', PREPARE], { stdio: 'ignore', timeout: 10_000 }).status === 0,
  );
  if (!unshare) return;
  const script = `${PREPARE} && exec "$@"`;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve!('/usr/bin/env', ['env', 'unshare', ...unshare, 'sh', '-c', script, 'sh', ...again], {
    ...process.env,
    [INSIDE]: '1',
  });
}
