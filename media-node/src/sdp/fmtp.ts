/** More than a stream may have (`MAX_CODEC_PARAMETERS`), so that a publisher who sends too many is told. */
const MAX_PARAMETERS = 64;
/** Hexadecimal even when all digits are decimal (RFC 6184 section 8.1). */
const HEXADECIMAL = new Set(['profile-level-id', 'max-recv-level']);

/**
 * Parses the parameters of an a=fmtp line, "name=value;name;...". RFC 8866 section 6.15 leaves the syntax to each format; all relayed formats use this one.
 * Names become lower case, because media type parameter names are case-insensitive (RFC 6838 section 4.3). Decimal values become numbers; hexadecimal ones
 * stay text.
 */
export function parseFmtp(config: string): Record<string, string | number> {
  const parameters: Record<string, string | number> = {};
  let count = 0;
  for (const part of config.split(';')) {
    const at = part.indexOf('=');
    const name = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    const value = at < 0 ? '' : part.slice(at + 1).trim();
    if (name === '' || name === '__proto__') continue;
    if (++count > MAX_PARAMETERS) break;
    parameters[name] = !HEXADECIMAL.has(name) && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  }
  return parameters;
}
