/** The last hop: restores order, renumbers for viewers, and sends to mediasoup. */
export { Egress, type Attachment, type EgressCounters } from './egress.ts';
