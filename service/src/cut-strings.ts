/**
 * Cuts each string of a JSON text to `maxLength` characters, as written, and marks the place with an ellipsis. The text stays valid JSON.
 * Linear in the length of the text.
 */
export function cutStrings(json: string, maxLength: number): string {
  if (json.length <= maxLength) return json;
  const kept: string[] = [];
  let from = 0;
  for (let open = json.indexOf('"'); open !== -1; open = json.indexOf('"', from)) {
    const close = endOfString(json, open + 1);
    if (close - open - 1 > maxLength) kept.push(json.slice(from, cutBefore(json, open + 1, maxLength)), '…');
    else kept.push(json.slice(from, close));
    kept.push(json.slice(close, close + 1));
    from = close + 1;
  }
  kept.push(json.slice(from));
  return kept.join('');
}

/** The position of the quotation mark that closes the string, or the end of the text. */
function endOfString(json: string, start: number): number {
  let at = start;
  while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return Math.min(at, json.length);
}

/** The last position within `maxLength` of the start that does not divide an escape sequence or a surrogate pair. */
function cutBefore(json: string, start: number, maxLength: number): number {
  let at = start;
  for (let next = at; next - start <= maxLength; next += lengthOfCharacter(json, next)) at = next;
  return at;
}

function lengthOfCharacter(json: string, at: number): number {
  if (json[at] === '\\') return json[at + 1] === 'u' ? 6 : 2;
  return json.codePointAt(at)! > 0xffff ? 2 : 1;
}
