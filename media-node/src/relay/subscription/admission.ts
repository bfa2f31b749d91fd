import { MAX_PATH_HOPS, type RefusalCode, type Subscribe } from '@millrace/api/trunk';

/** The state of this node on which the admission of a subscriber depends. */
export interface AdmissionState {
  self: string;
  /** The node has the relay role: it forwards what others publish. */
  relays: boolean;
  /** Set when the stream is published here. */
  originEpoch: number | undefined;
  /** The nodes upstream, when the stream comes from another node. */
  upstream: readonly string[];
  carried: boolean;
  /** Whether this node knows the address of another from its settings or, as an origin, from the grant. */
  knows: (node: string) => boolean;
  downstreams: number;
}

/** Most downstream nodes of one stream at one node; more need further relays. */
export const MAX_DOWNSTREAMS = 2000;

const NOT_A_HOP = 'goes on only to nodes of its own settings and to the origin that control granted the stream to';

export interface Refusal {
  code: RefusalCode;
  reason: string;
}

/** Why a SUBSCRIBE is refused; undefined when it is taken. */
export function refusalOf(message: Subscribe, peer: string, state: AdmissionState): Refusal | undefined {
  const { self } = state;
  if (message.via.at(-1) !== peer) return refuse('invalid', `the last node of via must be the sender, ${peer}`);
  if (message.via.includes(self)) return refuse('loop', `${self} is downstream of itself: ${message.via.join(' < ')}`);
  if (message.path.includes(self)) return refuse('loop', `${self} is twice on the path`);
  if (state.upstream.includes(peer)) return refuse('loop', `${self} gets ${message.stream} through ${peer}`);
  if (message.via.length + message.path.length + 1 > MAX_PATH_HOPS + 1) {
    return refuse('path-too-long', `${message.via.length + message.path.length} trunks: at most ${MAX_PATH_HOPS}`);
  }
  if (state.downstreams >= MAX_DOWNSTREAMS)
    return refuse('overloaded', `${self} serves ${state.downstreams} subscribers of ${message.stream}`);
  return state.originEpoch === undefined ? relayRefusal(message, state) : originRefusal(message, state.originEpoch);
}

function originRefusal(message: Subscribe, epoch: number): Refusal | undefined {
  if (message.epoch === undefined || message.epoch <= epoch) return undefined;
  return refuse('unknown-stream', `${message.stream} is here in epoch ${epoch}, asked for is ${message.epoch}`);
}

function relayRefusal(message: Subscribe, state: AdmissionState): Refusal | undefined {
  if (message.path.length === 0 && !state.carried)
    return refuse('unknown-stream', `${message.stream} is not published on ${state.self}`);
  if (!state.relays) return refuse('unauthorised', `${state.self} is no relay: it serves what is published on it`);
  const next = message.path[0];
  if (next !== undefined && !state.knows(next)) return refuse('unauthorised', `${state.self} ${NOT_A_HOP}: ${next}`);
  return undefined;
}

const refuse = (code: RefusalCode, reason: string): Refusal => ({ code, reason });
