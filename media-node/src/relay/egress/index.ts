/** The last hop: order restored, one numbering for viewers, out to mediasoup. */
export { AUDIO_WAIT_MS, Egress, VIDEO_WAIT_MS, type Attachment, type EgressCounters } from './egress.ts';
