// Generated from crds/*.yaml by `npm run generate`. Change it there.
import type { CrdManifest } from '../../validation/index.ts';
import mediaedges from './mediaedges.json' with { type: 'json' };
import medianodes from './medianodes.json' with { type: 'json' };
import relaymeshes from './relaymeshes.json' with { type: 'json' };
import streamroutes from './streamroutes.json' with { type: 'json' };

export const mediaEdgeCrd = mediaedges as unknown as CrdManifest;
export const mediaNodeCrd = medianodes as unknown as CrdManifest;
export const relayMeshCrd = relaymeshes as unknown as CrdManifest;
export const streamRouteCrd = streamroutes as unknown as CrdManifest;

/** Every CRD of Millrace. */
export const crdDefinitions: readonly CrdManifest[] = [mediaEdgeCrd, mediaNodeCrd, relayMeshCrd, streamRouteCrd];
