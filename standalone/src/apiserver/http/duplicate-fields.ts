interface Level {
  path: string;
  /** Keys seen so far; undefined in a list. */
  keys: Set<string> | undefined;
  index: number;
}
const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** Paths of the duplicate fields in a JSON text, of which JSON.parse keeps only the last. `text` must be valid JSON. */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  const levels: Level[] = [];
  let key = '';
  let isKey = false;
  for (const [piece] of text.matchAll(token)) {
    const level = levels.at(-1);
    if (piece === '{' || piece === '[') {
      levels.push({ path: pathBelow(level, key), keys: piece === '{' ? new Set() : undefined, index: 0 });
      isKey = piece === '{';
    } else if (piece === '}' || piece === ']') levels.pop();
    else if (piece === ',') {
      isKey = level?.keys !== undefined;
      if (level) level.index++;
    } else if (piece !== ':' && isKey && level?.keys) {
      key = JSON.parse(piece) as string;
      if (level.keys.has(key)) found.push(pathBelow(level, key));
      level.keys.add(key);
      isKey = false;
    }
  }
  return found;
}

function pathBelow(level: Level | undefined, key: string): string {
  if (!level) return '';
  if (!level.keys) return `${level.path}[${level.index}]`;
  return level.path ? `${level.path}.${key}` : key;
}
