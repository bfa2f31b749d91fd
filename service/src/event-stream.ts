import type { Request, Response } from 'express';

/** Opens a stream of server-sent events (WHATWG HTML section 9.2). A HEAD request is answered without a stream. @returns whether the stream is open */
export function openEventStream(req: Request, res: Response): boolean {
  res.status(200).set({ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  if (req.method === 'HEAD') {
    res.end();
    return false;
  }
  res.flushHeaders();
  return true;
}
