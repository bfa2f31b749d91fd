/** Longer values are passed over: none that tells formats apart is. */
const MAX_VALUE_CHARS = 256;
const MAX_NAME_CHARS = 64;
const MAX_PARAMETERS = 64;
/** RFC 6184 section 8.1: hexadecimal, also where it looks like a decimal number. */
const HEXADECIMAL = new Set(['profile-level-id', 'max-recv-level']);

/**
 * The parameters of an a=fmtp line, "name=value;name;..." (RFC 8866 section 6.15 leaves the form to each format, and all that are relayed have this
 * one). Names are lower-cased: media type parameter names are case-insensitive (RFC 6838 section 4.3). Decimal values become numbers, but
 * not those that are hexadecimal.
 */
export function parseFmtp(config: string): Record<string, string | number> {
  const parameters: Record<string, string | number> = {};
  let count = 0;
  for (const part of config.split(';')) {
    const at = part.indexOf('=');
    const name = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    const value = at < 0 ? '' : part.slice(at + 1).trim();
    if (name === '' || name === '__proto__' || name.length > MAX_NAME_CHARS || value.length > MAX_VALUE_CHARS) continue;
    if (++count > MAX_PARAMETERS) break;
    parameters[name] = !HEXADECIMAL.has(name) && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  }
  return parameters;
}
