/** The pod agent: what a kubelet does, for a laptop. It runs the containers of pods as local processes. */
export { LogFile } from './log-file.ts';
export { localImages } from './images.ts';
export { startPodAgent } from './pod-agent.ts';
export type { PodAgent, PodAgentOptions } from './pod-agent.ts';
