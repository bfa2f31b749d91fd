/** The node's end of the agent channel: what control wants of this node, and what this node asks and tells control. */
export { ControlChannel, type ChannelOptions } from './channel.ts';
export { plainControlWarning } from './plain-control.ts';
