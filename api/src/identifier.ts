import { z } from 'zod';

/** Text that names something: no control characters, line and paragraph separators, or lone surrogates. */
export function identifier(maxLength: number) {
  return z
    .string()
    .min(1)
    .max(maxLength)
    .regex(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u, 'must not contain control characters or line breaks');
}

/** A token of RFC 4566 section 9, of which codec names, parameter names and feedback types are made. */
const TOKEN = "[!#$%&'*+.0-9A-Z^_`a-z{|}~-]";

export function token(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .regex(new RegExp(`^${TOKEN}+$`), 'must be letters, digits and the marks of an SDP token (RFC 4566 section 9)');
}

/** `audio/...` or `video/...`. */
export const MediaType = z
  .string()
  .max(64)
  .regex(new RegExp(`^(?:audio|video)/${TOKEN}+$`, 'i'), 'must be audio/NAME or video/NAME');

/** Text inside one SDP line: printable ASCII, so that it can neither end the line nor begin another. */
export function lineText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .regex(/^[ -~]*$/, 'must be printable ASCII');
}

/** A value in an `a=fmtp` line, where semicolons separate parameters. */
export function parameterValue(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .regex(/^[ -:<-~]*$/, 'must be printable ASCII without ";"');
}
