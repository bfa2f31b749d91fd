import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { allowedCpuList, parseCpuList } from './media/index.ts';

/** What control is told of the machine. */
export interface HostFacts {
  kernel: { rmemMax: number; wmemMax: number };
  /** As in /proc/self/status. */
  cpus: string;
  /** Whether the cpuset is this node's alone: the kubelet's static policy leaves exactly the asked CPUs of the machine's. */
  cpusExclusive?: boolean;
}

export async function readHostFacts(config: { cores: number; pinning: string }): Promise<HostFacts> {
  const list = await allowedCpuList();
  const allowed = parseCpuList(list).length;
  return {
    kernel: { rmemMax: await sysctl('rmem_max'), wmemMax: await sysctl('wmem_max') },
    cpus: list,
    ...(config.pinning === 'static'
      ? { cpusExclusive: allowed === config.cores && allowed < Math.max(cpus().length, availableParallelism()) }
      : {}),
  };
}

async function sysctl(name: 'rmem_max' | 'wmem_max'): Promise<number> {
  return Number(await readFile(`/proc/sys/net/core/${name}`, 'utf8').catch(() => '0'));
}
