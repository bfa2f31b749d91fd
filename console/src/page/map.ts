import type { Topology, TopologyLink, TopologyNode } from './topology.ts';
import { linkBetween } from './topology.ts';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 400;
const MAX_WIDTH = 760;
const MAX_RADIUS = 66;
/** Approximate width of a label, in SVG units. */
const LABEL_WIDTH = 92;

/** Longitude and latitude of the places after which regions are usually named. */
const PLACES: Record<string, readonly [number, number]> = {
  tokyo: [139.7, 35.7],
  osaka: [135.5, 34.7],
  seoul: [127, 37.6],
  singapore: [103.8, 1.35],
  mumbai: [72.9, 19.1],
  sydney: [151.2, -33.9],
  frankfurt: [8.7, 50.1],
  london: [-0.1, 51.5],
  paris: [2.35, 48.9],
  dublin: [-6.3, 53.3],
  stockholm: [18.1, 59.3],
  virginia: [-77.5, 39],
  ohio: [-83, 40],
  oregon: [-121, 45],
  california: [-119.4, 37],
  montreal: [-73.6, 45.5],
  'sao-paulo': [-46.6, -23.5],
  'cape-town': [18.4, -33.9],
};

interface Point {
  readonly x: number;
  readonly y: number;
}

/** The map is drawn at its displayed size, so that labels stay readable on a phone. */
interface Sheet {
  readonly width: number;
  readonly radius: number;
}

/** Draws the regions from west to east, their nodes, the measured links, and the stream's path and backup. */
export function drawMap(svg: SVGSVGElement, topology: Topology, path: readonly string[], backup: readonly string[]): void {
  const width = Math.max(300, Math.min(MAX_WIDTH, svg.clientWidth || MAX_WIDTH));
  const sheet = { width, radius: Math.min(MAX_RADIUS, width / topology.regions.length / 2 - 8) };
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  const centres = placeRegions(
    topology.regions.map((region) => region.region),
    sheet,
  );
  const nodes = placeNodes(topology.nodes, centres, sheet);
  const parts: SVGElement[] = [];
  for (const { x, y } of centres.values()) parts.push(element('circle', { class: 'region', cx: x, cy: y, r: sheet.radius }));
  const onPath = pairs(path);
  const onBackup = pairs(backup);
  for (const link of uniqueLinks(topology.links)) {
    const key = pairKey(link.from, link.to);
    if (!onPath.has(key) && !onBackup.has(key))
      parts.push(...drawLink(nodes, link.from, link.to, link.state === 'Down' ? 'down' : 'link'));
  }
  for (const [key, [a, b]] of onBackup) if (!onPath.has(key)) parts.push(...drawLink(nodes, a, b, 'backup'));
  for (const [a, b] of onPath.values()) parts.push(...drawLink(nodes, a, b, 'path'));
  for (const node of topology.nodes) parts.push(...drawNode(node, nodes.get(node.node), path.includes(node.node)));
  // Labels are drawn above the links.
  for (const [region, { x, y }] of centres)
    parts.push(text(region, { class: 'region-name', x, y: y + sheet.radius + 18, 'text-anchor': 'middle' }));
  for (const [a, b] of onPath.values()) parts.push(...labelLink(nodes, a, b, linkBetween(topology, a, b)));
  svg.replaceChildren(...parts);
}

/** Regions by longitude from west to east, in columns of equal width, since a true map would put most of them on one spot. */
function placeRegions(regions: readonly string[], { width, radius }: Sheet): Map<string, Point> {
  const known = [...regions].sort((a, b) => longitude(a) - longitude(b) || (a < b ? -1 : 1));
  const latitudes = known.map((region) => PLACES[region]?.[1] ?? 20);
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const room = HEIGHT - 2 * radius - 50;
  return new Map(
    known.map((region, i) => {
      const latitude = latitudes[i] as number;
      const height = north === south ? 0.5 : (north - latitude) / (north - south);
      return [region, { x: ((i + 0.5) / known.length) * width, y: radius + 12 + height * room }];
    }),
  );
}

function longitude(region: string): number {
  return PLACES[region]?.[0] ?? 0;
}

function placeNodes(
  nodes: readonly TopologyNode[],
  centres: ReadonlyMap<string, Point>,
  { radius: regionRadius }: Sheet,
): Map<string, Point> {
  const placed = new Map<string, Point>();
  for (const [region, centre] of centres) {
    const inside = nodes.filter((node) => node.region === region).sort((a, b) => (a.node < b.node ? -1 : 1));
    inside.forEach((node, i) => {
      const angle = (i / inside.length) * 2 * Math.PI - Math.PI / 2;
      const radius = inside.length === 1 ? 0 : regionRadius * 0.58;
      placed.set(node.node, { x: centre.x + radius * Math.cos(angle), y: centre.y + radius * Math.sin(angle) });
    });
  }
  return placed;
}

function drawLink(nodes: ReadonlyMap<string, Point>, a: string, b: string, kind: string): SVGElement[] {
  const from = nodes.get(a);
  const to = nodes.get(b);
  return from && to ? [element('line', { class: kind, x1: from.x, y1: from.y, x2: to.x, y2: to.y })] : [];
}

/** The measurements of a link of the path, at its middle; none if the link is too short for a label. */
function labelLink(nodes: ReadonlyMap<string, Point>, a: string, b: string, measured?: TopologyLink): SVGElement[] {
  const from = nodes.get(a);
  const to = nodes.get(b);
  if (!from || !to || !measured || Math.hypot(to.x - from.x, to.y - from.y) < LABEL_WIDTH) return [];
  const label = `${measured.rttMs.toFixed(1)} ms · ${measured.lossPercent.toFixed(1)} %`;
  return [text(label, { class: 'small', x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + 4, 'text-anchor': 'middle' })];
}

function drawNode(node: TopologyNode, at: Point | undefined, isOnPath: boolean): SVGElement[] {
  if (!at) return [];
  const state = !node.connected ? 'gone' : node.draining || node.cordoned ? 'leaving' : isOnPath ? 'on-path' : '';
  const circle = element('circle', { class: `node ${state}`, cx: at.x, cy: at.y, r: isOnPath ? 7 : 5 });
  const title = document.createElementNS(SVG, 'title');
  title.textContent = `${node.node} (${node.roles.join(', ')})${node.connected ? '' : ', not connected'}`;
  circle.append(title);
  return [circle];
}

function uniqueLinks(links: readonly TopologyLink[]): TopologyLink[] {
  return [...new Map(links.map((link) => [pairKey(link.from, link.to), link])).values()];
}

function pairs(path: readonly string[]): Map<string, readonly [string, string]> {
  const result = new Map<string, readonly [string, string]>();
  path.forEach((node, i) => {
    const next = path[i + 1];
    if (next !== undefined) result.set(pairKey(node, next), [node, next]);
  });
  return result;
}

function pairKey(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, String(value));
  return created;
}

function text(content: string, attributes: Record<string, string | number>): SVGElement {
  const created = element('text', attributes);
  created.textContent = content;
  return created;
}
