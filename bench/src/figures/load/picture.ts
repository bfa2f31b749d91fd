/** A line of a panel; times in ms, in order. */
interface Series {
  readonly name: string;
  readonly points: readonly { readonly atMs: number; readonly value: number }[];
}

export interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
}

const [WIDTH, PANEL_HEIGHT, LEFT, RIGHT, TOP, GAP] = [1100, 250, 70, 300, 60, 50];
/** A palette for colour-blind readers (Okabe and Ito 2008); further lines differ by dashes. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
const DASHES = ['', '6 3', '2 3'];
const POINTS_PER_LINE = 400;

/** Draws panels below each other over one time axis in minutes, as SVG. The time before `warmUntilMs` is shaded. */
export function drawPanels(title: string, panels: readonly Panel[], warmUntilMs: number): string {
  const times = panels.flatMap(({ series }) => series.flatMap(({ points }) => points.map(({ atMs }) => atMs)));
  const [start, end] = times.reduce(([low, high], at) => [Math.min(low, at), Math.max(high, at)], [Infinity, -Infinity]);
  const height = TOP + panels.length * (PANEL_HEIGHT + GAP);
  const x = (atMs: number) => LEFT + ((atMs - start) / Math.max(1, end - start)) * (WIDTH - LEFT - RIGHT);
  const names = [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))];
  const span = { start, end, warmUntilMs };
  const drawn = panels.map((panel, i) => drawPanel(panel, TOP + i * (PANEL_HEIGHT + GAP), x, names, span));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="${LEFT}" y="26" font-size="17" font-weight="bold">${escape(title)}</text>
${drawn.join('\n')}
</svg>
`;
}

function drawPanel(
  { title, series }: Panel,
  top: number,
  x: (atMs: number) => number,
  names: readonly string[],
  { start, end, warmUntilMs }: { start: number; end: number; warmUntilMs: number },
): string {
  const bottom = top + PANEL_HEIGHT;
  const most = Math.max(...series.flatMap(({ points }) => points.map(({ value }) => value)), 1e-9);
  const step = tickStep(most);
  const roof = Math.ceil(most / step - 1e-9) * step;
  const y = (value: number) => bottom - (value / roof) * PANEL_HEIGHT;
  const right = x(end);
  const ticks = Array.from({ length: Math.round(roof / step) + 1 }, (_, i) => i * step);
  const minute = tickStep((end - start) / 60_000) * 60_000;
  const minutes = Array.from({ length: Math.floor((end - start) / minute) + 1 }, (_, i) => i * minute);
  const warm = Math.min(x(warmUntilMs), right);
  return [
    `<text x="${LEFT}" y="${top - 8}" font-weight="bold">${escape(title)}</text>`,
    `<rect x="${LEFT}" y="${top}" width="${Math.max(0, warm - LEFT).toFixed(1)}" height="${PANEL_HEIGHT}" fill="#f0f0f0"/>`,
    ...ticks.map(
      (tick) =>
        `<path d="M${LEFT} ${y(tick).toFixed(1)}H${right}" stroke="#ddd"/><text x="${LEFT - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${Number(tick.toPrecision(6))}</text>`,
    ),
    ...minutes.map(
      (at) =>
        `<text x="${x(start + at).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${Number((at / 60_000).toPrecision(4))}</text>`,
    ),
    `<text x="${right}" y="${bottom + 30}" text-anchor="end">minutes</text>`,
    ...[...series]
      .sort((a, b) => lastOf(b) - lastOf(a))
      .map((each, i) => drawLine(each, names.indexOf(each.name), top + 10 + i * 16, right, x, y)),
  ].join('\n');
}

/** Draws a line with its name and last value in the legend. `look` selects colour and dashes, the same for a name in all panels. */
function drawLine(
  series: Series,
  look: number,
  legendY: number,
  right: number,
  x: (atMs: number) => number,
  y: (value: number) => number,
): string {
  const colour = COLOURS[look % COLOURS.length];
  const style = `stroke="${colour}" stroke-dasharray="${DASHES[Math.floor(look / COLOURS.length) % DASHES.length]}" stroke-width="1.4"`;
  const every = Math.ceil(series.points.length / POINTS_PER_LINE);
  const line = series.points
    .filter((_, at) => at % every === 0 || at === series.points.length - 1)
    .map(({ atMs, value }) => `${x(atMs).toFixed(1)},${y(value).toFixed(1)}`);
  return `<polyline points="${line.join(' ')}" fill="none" ${style}/><path d="M${right + 12} ${legendY}h22" ${style}/><text x="${right + 40}" y="${legendY + 4}">${escape(series.name)}: ${Number(lastOf(series).toPrecision(4))}</text>`;
}

function lastOf({ points }: Series): number {
  return points[points.length - 1]?.value ?? 0;
}

/** Returns 1, 2 or 5 times a power of ten that gives four to ten ticks. */
export function tickStep(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => most / step <= 10) ?? 10 * power;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
