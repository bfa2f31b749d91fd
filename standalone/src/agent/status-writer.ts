import type { KubeClient } from '@millrace/kube';
import { isConflict, isNotFound, pods } from '@millrace/kube';
import type { Clock, Logger } from '@millrace/service';
import type { Pod, PodStatus } from './pod.ts';

export const fieldManager = 'millrace-pod-agent';
const retryMs = 1000;

/** Writes the newest status of a pod, one write at a time, until it is stored or the pod is gone. */
export class StatusWriter {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pod: Pod;
  #wanted: PodStatus | undefined;
  #writing: Promise<void> | undefined;
  #active = true;

  constructor(client: KubeClient, clock: Clock, logger: Logger, pod: Pod) {
    this.#client = client;
    this.#clock = clock;
    this.#logger = logger;
    this.#pod = pod;
  }

  get isActive(): boolean {
    return this.#active;
  }

  write(status: PodStatus): void {
    this.#wanted = status;
    this.#writing ??= this.#run().finally(() => (this.#writing = undefined));
  }

  /** Resolves when the last status is stored, can no longer be stored, or after one failure. */
  async drain(): Promise<void> {
    await Promise.race([this.#writing, new Promise<void>((resolve) => this.#clock.setTimeout(resolve, retryMs))]);
  }

  stop(): void {
    this.#active = false;
  }

  async #run(): Promise<void> {
    const { name = '', namespace = 'default', uid } = this.#pod.metadata ?? {};
    while (this.#wanted && this.#active) {
      const status = this.#wanted;
      this.#wanted = undefined;
      try {
        await this.#client.patch(
          pods,
          { name, namespace },
          { type: 'merge', patch: { metadata: { uid }, status } },
          { subresource: 'status', fieldManager },
        );
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) return void (this.#active = false);
        this.#logger.warn({ err: error }, 'cannot write the status of a pod; trying again');
        this.#wanted ??= status;
        await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, retryMs));
      }
    }
  }
}
