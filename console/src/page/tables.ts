import type { Topology } from './topology.ts';
import { linkBetween } from './topology.ts';

/** Fills the table of the stream's hops, origin first, each with the measurements of the link from the previous hop. */
export function fillPath(body: HTMLElement, topology: Topology, path: readonly string[]): void {
  const rows = path.map((name, i) => {
    const previous = path[i - 1];
    const link = previous === undefined ? undefined : linkBetween(topology, previous, name);
    const role = i === 0 ? 'origin' : i === path.length - 1 ? 'edge' : 'relay';
    const region = topology.nodes.find((node) => node.node === name)?.region ?? '';
    return row([role, name, region], [link ? `${link.rttMs.toFixed(2)} ms` : '', link ? `${link.lossPercent.toFixed(1)} %` : '']);
  });
  body.replaceChildren(...(rows.length > 0 ? rows : [row(['nobody watches here yet', '', ''], ['', ''])]));
}

export function fillNodes(body: HTMLElement, topology: Topology): void {
  const nodes = [...topology.nodes].sort((a, b) => (a.region + a.node < b.region + b.node ? -1 : 1));
  body.replaceChildren(
    ...nodes.map((node) => {
      const state = !node.connected ? 'not connected' : node.draining ? 'draining' : node.cordoned ? 'cordoned' : 'ready';
      const load = node.load;
      return row(
        [node.node, { wide: node.region }, node.roles.join(', '), state],
        load
          ? [{ wide: String(load.sessions) }, `${load.egressMbps.toFixed(1)} Mbps`, `${load.cpuPercent.toFixed(0)} %`]
          : [{ wide: '–' }, '–', '–'],
      );
    }),
  );
}

/** Text of a cell; `wide` is shown only on wide screens. */
type Cell = string | { readonly wide: string };

function row(words: readonly Cell[], numbers: readonly Cell[]): HTMLTableRowElement {
  const created = document.createElement('tr');
  const add = (content: Cell, kind?: string) => {
    const cell = created.insertCell();
    if (kind) cell.classList.add(kind);
    if (typeof content !== 'string') cell.classList.add('wide');
    cell.textContent = typeof content === 'string' ? content : content.wide;
  };
  for (const word of words) add(word);
  for (const number of numbers) add(number, 'number');
  return created;
}
