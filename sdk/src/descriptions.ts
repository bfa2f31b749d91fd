/** The few facts that the SDK reads from session descriptions (RFC 8866). A browser wrote or accepted them, so their syntax is valid. */

export interface MediaSection {
  readonly kind: string;
  readonly isRejected: boolean;
  /** Names of media codecs, without repair formats. */
  readonly codecs: readonly string[];
}

const REPAIR_FORMATS = new Set(['rtx', 'red', 'ulpfec', 'flexfec-03', 'telephone-event', 'CN']);

export function mediaSections(sdp: string): MediaSection[] {
  return sdp
    .split(/^(?=m=)/m)
    .slice(1)
    .map((section) => {
      const [, kind = '', port] = /^m=(\S+) (\d+)/.exec(section) ?? [];
      const names = [...section.matchAll(/^a=rtpmap:\d+ ([^/\s]+)\//gm)].map((match) => match[1] as string);
      return { kind, isRejected: port === '0', codecs: mediaCodecs(names) };
    });
}

export function mediaCodecs(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => !REPAIR_FORMATS.has(name));
}

export interface TriedAddress {
  readonly address: string;
  readonly port: number;
  readonly protocol: string;
}

/** The host candidates of a description (RFC 8839 section 5.1), without duplicates. */
export function candidateAddresses(sdp: string): TriedAddress[] {
  const found = new Map<string, TriedAddress>();
  for (const [, protocol, address, port] of sdp.matchAll(/^a=candidate:\S+ 1 (\S+) \d+ (\S+) (\d+) typ/gim)) {
    const tried = { address: address as string, port: Number(port), protocol: (protocol as string).toLowerCase() };
    found.set(JSON.stringify(tried), tried);
  }
  return [...found.values()];
}
