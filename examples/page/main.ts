import { Player, Publisher, type PlacementSource } from '@millrace/sdk';

const stream = 'live/page';
const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const say = (text: string): void => {
  element('state').textContent = text;
};

/** Asks this page's own backend, again whenever a node cannot be reached: the SDK says which to leave out. */
function placement(kind: 'push' | 'pull'): PlacementSource {
  return async (exclude) => {
    const query = new URLSearchParams([['stream', stream], ...exclude.map((node): [string, string] => ['exclude', node])]);
    const response = await fetch(`place/${kind}?${query}`);
    if (!response.ok) throw new Error(`no place to ${kind}: HTTP ${response.status}`);
    return (await response.json()) as Awaited<ReturnType<PlacementSource>>;
  };
}

element('publish').addEventListener('click', () => {
  void (async () => {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 }, audio: true });
    const publisher = new Publisher({ placement: placement('push'), media });
    publisher.on('state', (state) => say(`publishing: ${state}`));
    publisher.on('error', (error) => say(error.message));
    await publisher.start();
  })();
});

element('play').addEventListener('click', () => {
  const player = new Player({ placement: placement('pull') });
  player.on('media', (media) => {
    element<HTMLVideoElement>('video').srcObject = media;
  });
  player.on('state', (state) => say(`playing: ${state}`));
  player.on('error', (error) => say(error.message));
  void player.start();
});
