import { SdpError } from './sdp-error.ts';

/** The parts of a media section that `checkBundleNumbers` reads. */
interface NumberedSection {
  readonly rejected: boolean;
  readonly codecs: readonly { payloadType: number; mimeType: string; clockRate: number }[];
  readonly extensions: readonly { id: number; uri: string }[];
}

/**
 * Checks that the sections of a BUNDLE group use their numbers consistently. They share one RTP session, so a payload type must mean the same codec in all
 * of them (RFC 9143 section 9.1), and a header extension id the same extension (RFC 8285 section 5).
 * @throws SdpError
 */
export function checkBundleNumbers(sections: readonly NumberedSection[]): void {
  const codecs = new Map<number, string>();
  const extensions = new Map<number, string>();
  for (const section of sections) {
    if (section.rejected) continue;
    for (const { payloadType, mimeType, clockRate } of section.codecs) {
      const name = `${mimeType.split('/')[1]}/${clockRate}`;
      const other = codecs.get(payloadType) ?? name;
      codecs.set(payloadType, name);
      if (other.toLowerCase() === name.toLowerCase()) continue;
      throw new SdpError(
        `a=rtpmap:${payloadType} ${name}`,
        `${payloadType} is ${other} too; give each codec a number of its own`,
      );
    }
    for (const { id, uri } of section.extensions) {
      const other = extensions.get(id) ?? uri;
      extensions.set(id, uri);
      if (other === uri) continue;
      throw new SdpError(`a=extmap:${id} ${uri}`, `${id} is ${other} too; give each header extension an id of its own`);
    }
  }
}
