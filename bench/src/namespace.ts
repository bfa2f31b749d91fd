import { spawnSync } from 'node:child_process';

const INSIDE = 'MILLRACE_BENCH_NAMESPACE';
/** Loopback with a default route over it: browsers query the kernel for the source address of the default route. */
const PREPARE = 'ip link set lo up && ip route add default dev lo';

/** Describes the network of this run. */
export function describeNamespace(): string {
  return process.env[INSIDE]
    ? 'a separate network namespace, loopback only'
    : "the host's network: its firewall and connection tracking cost CPU for each packet";
}

/**
 * Executes this program again, with the same pid, in a separate network namespace, where the host's connection tracking rules do not
 * apply. Returns if that is not permitted, or if the process is already in such a namespace.
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
