import { BlockList, isIP, isIPv4 } from 'node:net';
import { canonicalAddress } from '@millrace/service';

export interface ClientRegion {
  region?: string;
  isp?: string;
}

interface Row extends ClientRegion {
  prefix: number;
  block: BlockList;
}

/** Finds a client's region and ISP by the longest configured prefix that contains its address. */
export class ClientRegions {
  readonly #rows: { ipv4: Row[]; ipv6: Row[] } = { ipv4: [], ipv6: [] };

  /** Keys are CIDRs, e.g. `203.0.113.0/24`. Throws a RangeError that names the first invalid one. */
  constructor(table: Readonly<Record<string, ClientRegion>> = {}) {
    for (const [cidr, where] of Object.entries(table)) {
      const [address = '', length = ''] = cidr.split('/');
      const family = familyOf(address);
      const prefix = /^\d{1,3}$/.test(length) ? Number(length) : NaN;
      if (!family || !(prefix <= (family === 'ipv4' ? 32 : 128))) {
        throw new RangeError(`regionsByCidr: "${cidr}" is not a CIDR; write e.g. 203.0.113.0/24 or 2001:db8::/32`);
      }
      const block = new BlockList();
      block.addSubnet(address, prefix, family);
      this.#rows[family].push({ ...where, prefix, block });
    }
    for (const rows of Object.values(this.#rows)) rows.sort((a, b) => b.prefix - a.prefix);
  }

  find(address: string): ClientRegion | undefined {
    const plain = canonicalAddress(address);
    if (plain === undefined) return undefined;
    const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
    const row = this.#rows[family].find(({ block }) => block.check(plain, family));
    if (!row) return undefined;
    return { ...(row.region === undefined ? {} : { region: row.region }), ...(row.isp === undefined ? {} : { isp: row.isp }) };
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address);
  return version === 4 ? 'ipv4' : version === 6 ? 'ipv6' : undefined;
}
