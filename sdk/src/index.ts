/**
 * Millrace browser SDK: pushes and pulls streams over WHIP, WHEP and the short forms, reconnects across nodes, and reports connection statistics.
 *
 *     const player = new Player({ placement: (exclude) => askMyBackend('pull', 'live/demo', exclude) });
 *     player.on('media', (media) => { video.srcObject = media; });
 *     await player.start();
 */
export { Player } from './player.ts';
export type { PlayerEvents, PlayerOptions } from './player.ts';
export { Publisher } from './publisher.ts';
export type { PublisherEvents, PublisherHealth, PublisherOptions } from './publisher.ts';
export { fixedPlacement } from './placement.ts';
export type { Place, Placement, PlacementSource } from './placement.ts';
export { MediaProblem } from './media-problem.ts';
export type { ProblemReason } from './media-problem.ts';
export type { MoveRequest } from './move.ts';
export type { SessionEvents, SessionState } from './session.ts';
export { SignalingError } from './signaling-error.ts';
export type { PlayerStats, PublisherStats } from './stats.ts';
