import type { NodeReason, Place } from '@millrace/api';
import type { Clock } from '@millrace/service';
import type { Fleet } from '../fleet/index.ts';
import { schedule, type Candidate, type ClientRegions } from '../scheduler/index.ts';
import type { LiveStreams } from '../streams/index.ts';
import { ComingSessions } from './coming-sessions.ts';

export interface PlacementQuery {
  kind: 'push' | 'pull';
  stream: string;
  region?: string | undefined;
  clientAddress?: string | undefined;
  /** `jti` of the client's token. */
  tokenId?: string | undefined;
  isp?: string | undefined;
  group?: string | undefined;
  exclude?: readonly string[] | undefined;
  /** The client came by HTTPS: nodes with signalling by plain HTTP are left out. */
  httpsOnly?: boolean | undefined;
}

export type Placed = { ok: true; places: Place[] } | { ok: false; reasons: NodeReason[] };

export interface PlacerOptions {
  fleet: Fleet;
  streams: LiveStreams;
  clientRegions: ClientRegions;
  /** Region of clients whose region is unknown. */
  defaultRegion?: string | undefined;
  random: () => number;
  clock: Clock;
}

/** The choice and its alternatives. */
const PLACES = 4;

export class Placer {
  readonly #options: PlacerOptions;
  readonly #coming: ComingSessions;

  constructor(options: PlacerOptions) {
    this.#options = options;
    this.#coming = new ComingSessions(options.clock);
  }

  /** Returns nodes, the best first. Unless `probe`, counts a session that will come on the first until its node reports again, see ComingSessions. */
  place(query: PlacementQuery, probe = false): Placed {
    const { fleet, streams, clientRegions, defaultRegion, random } = this.#options;
    const { kind, stream, group } = query;
    const byAddress = query.clientAddress === undefined ? undefined : clientRegions.find(query.clientAddress);
    const isp = query.isp ?? byAddress?.isp;
    const region = query.region ?? byAddress?.region ?? (isp === undefined ? defaultRegion : undefined);
    const rule = streams.ruleOf(stream);
    const result = schedule(
      {
        kind,
        stream,
        region,
        isp,
        group,
        exclude: new Set(query.exclude ?? []),
        httpsOnly: query.httpsOnly,
        allowedRegions: kind === 'push' ? rule?.originRegions : rule?.policy.playRegions,
        rttMs: (from, to) => fleet.regionRttMs(from, to),
        count: PLACES,
      },
      fleet.candidates(stream),
      random,
    );
    if (!result.ok) return result;
    const client = { address: query.clientAddress, tokenId: query.tokenId };
    if (!probe && this.#coming.count(stream, client)) fleet.placed(result.choices[0]!.node);
    return { ok: true, places: result.choices.flatMap((choice) => this.#placeOf(choice, query) ?? []) };
  }

  #placeOf({ node, region }: Candidate, { kind, stream }: PlacementQuery): Place | undefined {
    // A candidate has reported, so some replica knows its hello.
    const signaling = this.#options.fleet.presence(node)?.hello.endpoints.signalingUrl.replace(/\/$/, '');
    if (signaling === undefined) return undefined;
    return { node, region, url: `${signaling}/${kind === 'push' ? 'whip' : 'whep'}/${stream}`, signaling };
  }
}
