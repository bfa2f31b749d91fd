/** Digits of 3 x 5 dots: one number for each row, the leftmost dot in the highest bit. */
const GLYPHS: Record<string, readonly number[]> = {
  '0': [7, 5, 5, 5, 7],
  '1': [2, 6, 2, 2, 7],
  '2': [7, 1, 7, 4, 7],
  '3': [7, 1, 7, 1, 7],
  '4': [5, 5, 7, 1, 1],
  '5': [7, 4, 7, 1, 7],
  '6': [7, 4, 7, 5, 7],
  '7': [7, 1, 1, 1, 1],
  '8': [7, 5, 7, 5, 7],
  '9': [7, 5, 7, 1, 7],
  ':': [0, 2, 0, 2, 0],
  '.': [0, 0, 0, 0, 2],
};

/** Calls `dot` with the position of every lit dot, in pixels, and its size. */
export function drawText(text: string, scale: number, dot: (x: number, y: number, size: number) => void): void {
  [...text].forEach((character, column) => {
    (GLYPHS[character] ?? []).forEach((bits, y) => {
      for (let x = 0; x < 3; x++) if (bits & (4 >> x)) dot((column * 4 + x) * scale, y * scale, scale);
    });
  });
}
