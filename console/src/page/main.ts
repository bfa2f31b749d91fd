import { CAMERA_STREAM, Camera } from './camera.ts';
import { describeError } from './describe-error.ts';
import { drawMap } from './map.ts';
import { fillNodes, fillPath } from './tables.ts';
import type { Topology } from './topology.ts';
import { backupOf, followTopology, pathOf } from './topology.ts';
import { Watch } from './watch.ts';

const byId = <T extends Element = HTMLElement>(id: string) => document.getElementById(id) as unknown as T;
const streamSelect = byId<HTMLSelectElement>('stream');
const regionSelect = byId<HTMLSelectElement>('region');

let watch: Watch | undefined;
let topology: Topology | undefined;

const view = {
  video: byId<HTMLVideoElement>('video'),
  show: (id: string, value: string) => void (byId(id).textContent = value),
  note: (message: string) => void (byId('player-note').textContent = message),
  screen: (message: string) => {
    const note = byId('screen-note');
    if (note.textContent !== message) note.textContent = message; // called for each frame
  },
  state: (state: string, tone: string) => {
    byId('player-state').textContent = state;
    byId('player-state').className = `badge ${tone}`;
  },
};

async function play(): Promise<void> {
  await watch?.stop();
  watch = new Watch(view, streamSelect.value, regionSelect.value);
  // The page's own tests read the player's figures through this.
  Object.assign(window, { millrace: watch.player });
  watch.start();
}

function draw(): void {
  if (!topology) return;
  const path = pathOf(topology, streamSelect.value, regionSelect.value);
  drawMap(byId<SVGSVGElement>('map'), topology, path, backupOf(topology, streamSelect.value, regionSelect.value));
  fillPath(byId('path'), topology, path);
  fillNodes(byId('nodes'), topology);
  const { publisher } = topology.streams.find(({ stream }) => stream === streamSelect.value) ?? {};
  byId('publisher-state').textContent = publisher?.detail ?? '';
  const viewers = topology.streams.reduce((sum, stream) => sum + stream.viewers, 0);
  byId('summary').textContent = [
    count(topology.regions.length, 'region'),
    count(topology.nodes.length, 'node'),
    count(topology.streams.length, 'stream'),
    count(viewers, 'viewer'),
  ].join(' · ');
}

function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? '' : 's'}`;
}

/** Fills a selection with the network's values and keeps the chosen one. */
function offer(select: HTMLSelectElement, values: readonly string[]): void {
  const wanted = [...new Set([...values, select.value])].filter(Boolean).sort();
  if (wanted.join() === [...select.options].map((option) => option.value).join()) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((value) => new Option(value, value)));
  select.value = chosen;
}

async function start(): Promise<void> {
  const settings = (await (await fetch('api/settings')).json()) as { stream: string; region: string };
  const query = new URLSearchParams(location.search);
  streamSelect.add(new Option(query.get('stream') ?? settings.stream));
  regionSelect.add(new Option(query.get('region') ?? settings.region));
  followTopology(
    (next) => {
      topology = next;
      offer(streamSelect, [settings.stream, CAMERA_STREAM, ...next.streams.map((stream) => stream.stream)]);
      offer(regionSelect, [...new Set(next.nodes.filter((node) => node.roles.includes('pull')).map((node) => node.region))]);
      draw();
    },
    (isConnected) => {
      byId('control-state').textContent = isConnected ? 'control connected' : 'control does not answer: media goes on';
      byId('control-state').className = `badge ${isConnected ? 'good' : 'bad'}`;
    },
  );
  for (const select of [streamSelect, regionSelect]) select.addEventListener('change', () => void play().then(draw));
  const camera = new Camera((message) => void (byId('camera-state').textContent = message));
  byId('camera').addEventListener('click', () => {
    const button = byId<HTMLButtonElement>('camera');
    const step = camera.isOn ? camera.stop() : camera.start();
    step
      .catch((error: unknown) => void (byId('camera-state').textContent = describeError(error)))
      .finally(() => (button.textContent = camera.isOn ? 'Stop publishing' : 'Publish my camera'));
  });
  await play();
}

void start();
