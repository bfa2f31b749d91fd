import { once } from 'node:events';
import { createServer } from 'node:net';
import { urlHost } from '@millrace/api';

/** A TCP port that the network will listen on, and the setting that chooses another. */
export interface WantedPort {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly flag: string;
}

/** @throws Error that names every port that is in use or not permitted, why, and how to choose another; port 0 is always free. */
export async function requirePorts(wanted: readonly WantedPort[]): Promise<void> {
  const problems: string[] = [];
  const chosen = wanted.filter((each) => each.port !== 0);
  for (const [index, { name, host, port, flag }] of chosen.entries()) {
    const earlier = chosen.slice(0, index).find((each) => each.port === port);
    const why = earlier ? `${earlier.name} is to have that port (${earlier.flag})` : await obstacle(host, port);
    if (why)
      problems.push(
        `${name} cannot listen on ${urlHost(host)}:${port}: ${why}. To use another port: ${variable(flag)}=${port + 1} make up (or ${flag} ${port + 1})`,
      );
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

const variable = (flag: string) => `MILLRACE_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;

async function obstacle(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return 'another process has that port';
    if (code === 'EACCES') return 'this user may not (ports below 1024 need root)';
    if (code === 'EADDRNOTAVAIL') return 'this machine has no such address (HOST)';
    return message;
  }
}
