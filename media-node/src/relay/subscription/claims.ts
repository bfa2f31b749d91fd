import { GrantVerifier, type PublicJwk } from '@millrace/api';
import type { Hop, TrunkControlMessage } from '@millrace/api/trunk';

/**
 * Epochs and origins that peers name on trunks: each must be as control gave it out. Otherwise one node of the mesh could name a later epoch of any stream, or
 * itself as the origin, and take the stream from its publisher for everybody behind this node.
 */
export class Claims {
  #keys = '';
  #verifier: GrantVerifier | undefined;

  /** @param keys control's keys; undefined: there is no control, and nothing is checked */
  use(keys: readonly PublicJwk[] | undefined): void {
    const text = JSON.stringify(keys ?? null);
    if (text === this.#keys) return;
    this.#keys = text;
    this.#verifier = keys && new GrantVerifier(keys);
  }

  /**
   * What is wrong with the epoch of a message; undefined when nothing is.
   * @param of.stream the stream of a subscription of this node
   * @param of.isOrigin whether a stream is published on this node
   */
  faultOf(
    message: TrunkControlMessage,
    of: { stream: (id: number) => string | undefined; isOrigin: (stream: string) => boolean },
  ): string | undefined {
    if (!this.#verifier) return undefined;
    switch (message.type) {
      case 'subscribe': {
        const { stream, epoch, grant, held, path, backup } = message;
        // An origin knows its own epoch, and refuses later ones.
        if (of.isOrigin(stream)) return undefined;
        if (held.some((position) => position.epoch > (epoch ?? -1)))
          return `what is held of ${stream} is of no epoch that is asked for`;
        if (epoch === undefined) return undefined;
        for (const origin of [path.at(-1), backup.at(-1)]) {
          const fault = this.#fault(stream, epoch, grant, origin);
          if (fault !== undefined) return fault;
        }
        return undefined;
      }
      case 'subscribed':
      case 'tracks': {
        const stream = of.stream(message.id);
        return stream === undefined ? undefined : this.#fault(stream, message.epoch, message.grant);
      }
      default:
        return undefined;
    }
  }

  /** The origin that control granted the name to, as trunks dial it. */
  originOf(grant: string | undefined): Hop | undefined {
    const granted = grant === undefined ? undefined : this.#verifier?.originOf(grant);
    return granted && { node: granted.node, ...granted.at };
  }

  #fault(stream: string, epoch: number, grant: string | undefined, node?: string): string | undefined {
    if (grant !== undefined && this.#verifier!.verify(grant, { stream, epoch, node })) return undefined;
    const to = node === undefined ? '' : ` to ${node}`;
    return `control has not granted epoch ${epoch} of ${stream}${to}, as far as this node can see`;
  }
}
