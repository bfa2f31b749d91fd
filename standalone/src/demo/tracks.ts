/** Payload types and SSRCs of the demo's tracks (RFC 3550): FFmpeg sends them, and the node is configured for them. */
export const VIDEO = { payloadType: 102, ssrc: 0x6d720001 } as const;
export const AUDIO = { payloadType: 111, ssrc: 0x6d720002 } as const;
