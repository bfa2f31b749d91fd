/** The process cannot listen on a port; the message names address, setting and remedy, so that no stack is needed. */
export class CannotListen extends Error {
  override readonly name = 'CannotListen';

  /** @param at.setting what chooses the port, e.g. `signalingPort (MILLRACE_SIGNALING_PORT)` */
  constructor(cause: unknown, at: { host: string; port: number; setting?: string | undefined; protocol?: 'UDP' }) {
    const { host, port, setting = 'the port', protocol } = at;
    const text = cause instanceof Error ? cause.message : String(cause);
    const remedy = {
      EADDRINUSE: `another process has it; set ${setting} to another one, or stop that process`,
      EACCES: `ports below 1024 need root; set ${setting} to a higher one, or lower the sysctl net.ipv4.ip_unprivileged_port_start of the host`,
      EADDRNOTAVAIL: 'this machine does not have that address',
    };
    // Errors from other threads keep their text but not their code.
    const code = /\bE[A-Z]{4,}\b/.exec(text)?.[0] ?? '';
    super(`cannot listen on ${protocol ? `${protocol} ` : ''}${host}:${port}: ${remedy[code as keyof typeof remedy] ?? text}`, {
      cause,
    });
  }
}
