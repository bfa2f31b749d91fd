/**
 * Payload types that look like RTCP when both share a port, as they always do here: with the marker bit set, the second byte of the packet equals an RTCP
 * packet type, 192 to 223 (RFC 5761 section 4).
 */
const MIN_RTCP_LIKE = 64;
const MAX_RTCP_LIKE = 95;

export function looksLikeRtcp(payloadType: number): boolean {
  return payloadType >= MIN_RTCP_LIKE && payloadType <= MAX_RTCP_LIKE;
}

export const RTCP_LIKE_REMEDY = `payload types ${MIN_RTCP_LIKE} to ${MAX_RTCP_LIKE} cannot be told from RTCP on one port (RFC 5761 section 4); use 96 to 127, or 35 to 63`;
