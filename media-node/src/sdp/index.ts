// Translates session descriptions (RFC 8866, RFC 9429) into a media worker's parameters and back. All functions are pure: no I/O.
export { parseDescription, type RemoteDescription } from './description.ts';
export { SdpError } from './sdp-error.ts';
export { negotiatePush, type PushTrack } from './push.ts';
export { negotiatePull, type PullNegotiation, type PullSelection } from './pull.ts';
export { writeAnswer, writeOffer, type LocalSection } from './write.ts';
export { offerPull, readPullAnswer } from './server-offer.ts';
export { parseFragment, writeFragment } from './fragment.ts';
export { SUPPORTED_CODECS, relayedCodec } from './codecs.ts';
export { relayedExtensions } from './extensions.ts';
export { playabilityOf } from './formats/playability.ts';
export { looksLikeRtcp, RTCP_LIKE_REMEDY } from './rtcp-mux.ts';
