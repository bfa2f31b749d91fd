/** How the demo's tracks are marked on the wire (RFC 3550): what FFmpeg sends and what the node is told to expect. */
export const VIDEO = { payloadType: 102, ssrc: 0x6d720001 } as const;
export const AUDIO = { payloadType: 111, ssrc: 0x6d720002 } as const;
