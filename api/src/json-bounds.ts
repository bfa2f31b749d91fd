export interface JsonBounds {
  /** Values of any kind, at any depth. */
  values: number;
  /** Keys of one object. */
  keys: number;
  /** Items of one array. */
  items: number;
  /** Arrays and objects within each other. */
  depth: number;
}

const [QUOTE, COMMA, BACKSLASH] = [0x22, 0x2c, 0x5c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * What a JSON text has too much of; undefined when it is within the bounds. For use before `JSON.parse`, whose result takes up to 50 times the bytes of the
 * text, and before a schema, which looks at everything and collects an error for each value that it refuses: that costs far more than the bytes, and above
 * some 100,000 errors it throws. A text that is no JSON may have any result.
 */
export function jsonExcess(text: string, bounds: JsonBounds): string | undefined {
  // Of each array and object that is open here: whether it is an array, and how many items or keys it has so far.
  const isArray: boolean[] = [];
  const counts: number[] = [];
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      if (counts.length >= bounds.depth) return `more than ${bounds.depth} arrays and objects within each other`;
      const next = nextToken(text, at + 1);
      if (isClosing(text.charCodeAt(next))) {
        at = next;
        continue;
      }
      isArray.push(code === OPEN_ARRAY);
      counts.push(1);
      values++;
    } else if (code === COMMA) {
      if (counts.length > 0) counts[counts.length - 1]!++;
      values++;
    } else if (isClosing(code)) {
      isArray.pop();
      counts.pop();
    } else continue;
    const excess = excessOf(isArray.at(-1), counts.at(-1) ?? 0, values, bounds);
    if (excess !== undefined) return excess;
  }
  return undefined;
}

function excessOf(isArray: boolean | undefined, count: number, values: number, bounds: JsonBounds): string | undefined {
  if (isArray === true && count > bounds.items) return `an array of more than ${bounds.items} items`;
  if (isArray === false && count > bounds.keys) return `an object of more than ${bounds.keys} keys`;
  return values > bounds.values ? `more than ${bounds.values} values` : undefined;
}

const isClosing = (code: number): boolean => code === CLOSE_ARRAY || code === CLOSE_OBJECT;

/** Where the string that begins at `at` ends: a quote after an even number of backslashes. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

function nextToken(text: string, from: number): number {
  let at = from;
  while (isWhitespace(text.charCodeAt(at))) at++;
  return at;
}

const isWhitespace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** Values in the body of a request: far more than any needs. */
const MAX_JSON_VALUES = 2000;
/** Arrays and objects within each other, in any message. */
export const MAX_JSON_DEPTH = 16;

const REQUEST_BOUNDS: JsonBounds = {
  values: MAX_JSON_VALUES,
  keys: MAX_JSON_VALUES,
  items: MAX_JSON_VALUES,
  depth: MAX_JSON_DEPTH,
};

/** What the body of a request has too much of; undefined when it is within the bounds. */
export const requestJsonExcess = (text: string): string | undefined => jsonExcess(text, REQUEST_BOUNDS);
