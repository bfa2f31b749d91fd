import { Informer, secrets, type KubeClient, type Secret } from '@millrace/kube';
import type { Logger } from '@millrace/service';

export interface NamedSecretOptions {
  client: KubeClient;
  namespace: string;
  name: string;
  logger: Logger;
  /** Called with the Secret's data (base64), initially and after each change; undefined when it is deleted. Not called before it exists. */
  onData: (data: Readonly<Record<string, string>> | undefined) => void;
}

/** Watches one Secret by name, so that control needs no permission to read others. */
export class NamedSecret {
  readonly #informer: Informer<Secret>;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor({ client, namespace, name, logger, onData }: NamedSecretOptions) {
    const selection = { namespace, fieldSelector: `metadata.name=${name}` };
    this.#informer = new Informer({ client, resource: secrets, selection, logger });
    this.#informer.subscribe((change) => {
      if (change.object.metadata?.name === name) onData(change.type === 'deleted' ? undefined : (change.object.data ?? {}));
    });
    this.#running = this.#informer.run(this.#stop.signal);
  }

  get hasSynced(): boolean {
    return this.#informer.hasSynced;
  }

  whenSynced(signal?: AbortSignal): Promise<void> {
    return this.#informer.whenSynced(signal);
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.#running;
  }
}
