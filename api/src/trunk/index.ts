/** What travels on a trunk above its link: media frames, and the messages that subscribe to them. */
export * from './frame-marks.ts';
export * from './media-frame.ts';
export * from './description.ts';
export * from './control-message.ts';
