import type { MediaProblem, PlayerStats } from '@millrace/sdk';
import { Player } from '@millrace/sdk';
import { LatencyMeter } from './latency.ts';
import { describeError, errorSentence } from './describe-error.ts';
import { placement } from './place.ts';

export interface WatchView {
  readonly video: HTMLVideoElement;
  show(id: string, value: string): void;
  state(state: string, tone: 'good' | 'bad' | ''): void;
  note(message: string): void;
  /** Shows a message in place of the picture. */
  screen(message: string): void;
}

const FIGURES = ['first-frame', 'latency', 'picture', 'frames', 'bitrate', 'rtt', 'lost', 'freezes'];
const TONES: Record<string, 'good' | 'bad' | ''> = { live: 'good', reconnecting: 'bad', closed: 'bad' };

/** Plays one stream in one region and shows its statistics, until stopped. */
export class Watch {
  readonly #view: WatchView;
  readonly #player: Player;
  readonly #latency = new LatencyMeter();
  readonly #ages: number[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #last: { at: number; bytes: number } | undefined;
  #hasFrame = false;
  #problem: MediaProblem | undefined;
  /** Start of the last attempt: waiting for a publisher does not count as time to the first frame. */
  #attemptAt = performance.now();

  constructor(view: WatchView, stream: string, region: string) {
    this.#view = view;
    const place = placement('pull', stream, region);
    this.#player = new Player({
      placement: (exclude) => {
        if (!this.#hasFrame) this.#attemptAt = performance.now();
        return place(exclude);
      },
    });
    for (const id of FIGURES) view.show(id, '–');
    view.screen('connecting…');
    this.#player.on('state', (state) => {
      view.state(state, TONES[state] ?? '');
      if (state === 'reconnecting') view.screen('reconnecting…');
      if (state === 'live' && this.#hasFrame) view.screen('');
    });
    this.#player.on('error', (error) => {
      view.note(describeError(error));
      if (this.#hasFrame) return;
      view.screen(this.#player.state === 'closed' ? errorSentence(error) : `${errorSentence(error)} Trying again…`);
    });
    this.#player.on('problem', (problem) => {
      this.#problem = problem;
      view.note(problem ? describeError(problem) : '');
      view.screen(problem ? errorSentence(problem) : '');
    });
    this.#player.on('place', (place) => view.note(`served by ${place.node}`));
    for (const event of ['paused', 'ended'] as const) {
      this.#player.on(event, () => {
        view.note('the publisher left; waiting for it');
        view.screen('the publisher left; waiting for it');
      });
    }
    this.#player.on('resumed', () => view.screen(''));
    this.#player.on('media', (media) => {
      view.video.srcObject = media;
      view.video.play().catch(() => view.note('press play to start'));
    });
  }

  /** The player, for tests and debugging. */
  get player(): Player {
    return this.#player;
  }

  start(): void {
    const { video } = this.#view;
    const perFrame = () => {
      if (this.#player.state === 'closed') return;
      if (!this.#hasFrame) {
        this.#hasFrame = true;
        this.#view.show('first-frame', `${Math.round(performance.now() - this.#attemptAt)} ms`);
      }
      if (!this.#problem) this.#view.screen('');
      const age = this.#latency.ageMs(video);
      if (age !== undefined) this.#ages.push(age);
      video.requestVideoFrameCallback(perFrame);
    };
    video.requestVideoFrameCallback(perFrame);
    this.#timer = setInterval(() => void this.#measure(), 1_000);
    this.#player.start().catch((error: unknown) => {
      this.#view.note(describeError(error));
      this.#view.screen(errorSentence(error));
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#player.close();
  }

  async #measure(): Promise<void> {
    const stats = await this.#player.stats();
    if (!stats) return;
    this.#show(stats);
    const ages = this.#ages.splice(0).sort((a, b) => a - b);
    this.#view.show('latency', ages.length > 0 ? `${Math.round(ages[ages.length >> 1] as number)} ms` : 'no clock');
  }

  #show(stats: PlayerStats): void {
    const at = performance.now();
    if (this.#last && stats.bytesReceived >= this.#last.bytes) {
      const kbps = ((stats.bytesReceived - this.#last.bytes) * 8) / (at - this.#last.at);
      this.#view.show('bitrate', `${kbps.toFixed(0)} kbps`);
    }
    this.#last = { at, bytes: stats.bytesReceived };
    this.#view.show('picture', stats.width > 0 ? `${stats.width}×${stats.height} ${stats.codec.replace('video/', '')}` : '–');
    this.#view.show('frames', String(stats.framesDecoded));
    this.#view.show('lost', String(stats.packetsLost));
    this.#view.show('rtt', stats.rttMs === undefined ? '–' : `${stats.rttMs.toFixed(1)} ms`);
    this.#view.show('freezes', `${stats.freezeCount} (${Math.round(stats.freezeMs)} ms)`);
  }
}
