import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CLIENT = fileURLToPath(new URL('webrtc-client.py', import.meta.url));

/** What the client has seen so far. */
export interface GstreamerSeen {
  /** Addresses of the candidates that the node offered. */
  candidates: string[];
  ice: string;
  frames: number;
  error: string | undefined;
}

export interface GstreamerClient {
  readonly seen: GstreamerSeen;
  close(): Promise<void>;
}

/** Publishes (WHIP) or plays (WHEP) VP8 with GStreamer's webrtcbin. @param at placement of control */
export function startGstreamer(mode: 'publish' | 'play', at: { url: string; token: string }): GstreamerClient {
  const python = process.env['MILLRACE_GSTREAMER_PYTHON'] ?? 'python3';
  const child = spawn(python, [CLIENT, mode, at.url, at.token], { stdio: ['pipe', 'pipe', 'inherit'] });
  const seen: GstreamerSeen = { candidates: [], ice: 'new', frames: 0, error: undefined };
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as { ice?: string; frames?: number; answered?: string[]; error?: string };
    if (said.ice !== undefined) seen.ice = said.ice;
    if (said.frames !== undefined) seen.frames = said.frames;
    if (said.answered) seen.candidates = said.answered;
    if (said.error !== undefined) seen.error = said.error;
  });
  child.once('exit', (code) => (seen.error ??= code ? `the client ended with ${code}` : undefined));
  return {
    seen,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.stdin.end();
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await once(child, 'exit');
      clearTimeout(late);
    },
  };
}
