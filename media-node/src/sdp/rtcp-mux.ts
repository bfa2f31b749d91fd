/**
 * Payload types that cannot be told from RTCP when both come to one port, as they always do here: with the marker bit set their second byte is that of
 * an RTCP packet type, 192 to 223 (RFC 5761 section 4).
 */
const FIRST_RTCP_LIKE = 64;
const LAST_RTCP_LIKE = 95;

export function looksLikeRtcp(payloadType: number): boolean {
  return payloadType >= FIRST_RTCP_LIKE && payloadType <= LAST_RTCP_LIKE;
}

export const RTCP_LIKE_REMEDY = `payload types ${FIRST_RTCP_LIKE} to ${LAST_RTCP_LIKE} cannot be told from RTCP on one port (RFC 5761 section 4); use 96 to 127, or 35 to 63`;
