import { MAX_TRACKS_BYTES, tracksSchema, type TrackDescription } from '@millrace/api/trunk';
import { Problem } from '@millrace/service';

/**
 * Refuses a publisher whose track descriptions exceed what control and trunks can carry, before the node announces them.
 * @throws Problem 400 naming the field
 */
export function checkCarried(tracks: readonly TrackDescription[]): void {
  const parsed = tracksSchema.safeParse(tracks);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new Problem(400, 'Unusable media parameters', {
      detail: `track ${path.join('.')}: ${message}; send shorter or fewer fmtp parameters`,
    });
  }
  const bytes = Buffer.byteLength(JSON.stringify(tracks));
  if (bytes > MAX_TRACKS_BYTES) {
    const detail = `the descriptions of ${tracks.length} tracks take ${bytes} bytes: at most ${MAX_TRACKS_BYTES}; send fewer tracks or fewer fmtp parameters`;
    throw new Problem(400, 'Unusable media parameters', { detail });
  }
}
