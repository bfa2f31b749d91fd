/** The last hop: order restored, one numbering for viewers, out to mediasoup. */
export { Egress, type Attachment, type EgressCounters } from './egress.ts';
