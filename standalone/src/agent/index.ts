/** The pod agent plays the kubelet on a laptop: it runs the containers of pods as local processes. */
export { LogFile } from './log-file.ts';
export { localImages } from './images.ts';
export { startPodAgent } from './pod-agent.ts';
export type { PodAgent, PodAgentOptions } from './pod-agent.ts';
