import { MAX_TRACKS, type LayerMask } from '@millrace/api/trunk';

/** Requested layers by track; bit n is layer n. The default is all layers. */
export function allLayers(): Uint8Array {
  return new Uint8Array(MAX_TRACKS).fill(0xff);
}

export function masksOf(wanted: LayerMask): Uint8Array {
  const masks = allLayers();
  for (const { track, mask } of wanted) masks[track] = mask;
  return masks;
}

/** Tracks of which all layers are requested are omitted. */
export function wantedLayers(masks: Uint8Array): LayerMask {
  const wanted: LayerMask = [];
  masks.forEach((mask, track) => {
    if (mask !== 0xff) wanted.push({ track, mask });
  });
  return wanted;
}

/** The union of these masks; all layers when there are none. */
export function unionOf(all: Uint8Array[]): Uint8Array {
  if (all.length === 0) return allLayers();
  const union = new Uint8Array(MAX_TRACKS);
  for (const masks of all) masks.forEach((mask, track) => (union[track]! |= mask));
  return union;
}

export function sameMasks(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((mask, track) => mask === b[track]);
}
