// Session descriptions (RFC 8866, RFC 9429) to and from what a media worker understands. Text and data in, text and data out: nothing here does I/O.
export { parseDescription, type RemoteDescription, type RemoteSection } from './description.ts';
export { SdpError } from './sdp-error.ts';
export { negotiatePush, type PushNegotiation, type PushTrack } from './push.ts';
export { negotiatePull, type PullNegotiation, type PullSelection } from './pull.ts';
export { writeAnswer, writeOffer, type LocalTransport, type LocalSection } from './write.ts';
export { offerPull, readPullAnswer } from './server-offer.ts';
export { parseFragment, writeFragment, type IceFragment } from './fragment.ts';
export { SUPPORTED_CODECS, isSameCodec, mimeName } from './codecs.ts';
export { WORKER_EXTENSION_IDS, relayedExtensions } from './extensions.ts';
