import { Publisher } from '@millrace/sdk';
import { describeError } from './describe-error.ts';
import { placement } from './place.ts';

export const CAMERA_STREAM = 'live/camera';

/** Publishes the visitor's camera as `live/camera` in three simulcast layers; a second call ends it. */
export class Camera {
  readonly #report: (message: string) => void;
  #publisher: Publisher | undefined;
  #media: MediaStream | undefined;

  constructor(report: (message: string) => void) {
    this.#report = report;
  }

  get isOn(): boolean {
    return this.#publisher !== undefined;
  }

  async start(): Promise<void> {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 }, audio: true });
    const publisher = new Publisher({
      placement: placement('push', CAMERA_STREAM, undefined),
      media,
      codecs: ['video/VP8'],
      layers: [
        { scaleDownBy: 4, maxBitrateBps: 150_000 },
        { scaleDownBy: 2, maxBitrateBps: 500_000 },
        { scaleDownBy: 1, maxBitrateBps: 1_500_000 },
      ],
    });
    publisher.on('place', (place) => this.#report(`${CAMERA_STREAM} goes to ${place.node}`));
    publisher.on('health', ({ state, detail }) =>
      this.#report(detail ?? (state === 'Receiving' ? `${CAMERA_STREAM} is live` : '')),
    );
    publisher.on('error', (error) => this.#report(describeError(error)));
    publisher.on('state', (state) => state === 'closed' && this.#release());
    this.#media = media;
    this.#publisher = publisher;
    await publisher.start();
  }

  async stop(): Promise<void> {
    await this.#publisher?.close();
    this.#release();
    this.#report('');
  }

  #release(): void {
    this.#media?.getTracks().forEach((track) => track.stop());
    this.#publisher = undefined;
    this.#media = undefined;
  }
}
