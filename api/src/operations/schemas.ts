import { z } from 'zod';
import * as agent from '../agent.ts';
import * as http from '../http.ts';
import * as signaling from '../signaling.ts';
import { StreamName } from '../stream-name.ts';
import * as streams from '../streams.ts';
import { ProblemDetails } from './operation.ts';
import { Readiness } from './ops.ts';

/** Schemas that the documents name, because they are used in several places or are what one looks for. */
const schemas: Readonly<Record<string, z.ZodType>> = {
  StreamName,
  NodeName: streams.NodeName,
  RegionName: streams.RegionName,
  TrackDescription: streams.TrackDescription,
  StreamPolicy: streams.StreamPolicy,
  NodeLoad: agent.NodeLoad,
  PlacementRequest: http.PlacementRequest,
  Place: http.Place,
  IceServer: http.IceServer,
  PlacementResponse: http.PlacementResponse,
  NodeReason: http.NodeReason,
  SignalingRequest: http.SignalingRequest,
  StreamPath: http.StreamPath,
  StreamView: http.StreamView,
  StreamList: http.StreamList,
  TopologyNode: http.TopologyNode,
  TopologyLink: http.TopologyLink,
  TopologyRoute: http.TopologyRoute,
  Topology: http.Topology,
  ShortPushRequest: signaling.ShortPushRequest,
  ShortPushResponse: signaling.ShortPushResponse,
  ShortPullRequest: signaling.ShortPullRequest,
  ShortPullResponse: signaling.ShortPullResponse,
  AnswerRequest: signaling.AnswerRequest,
  StopRequest: signaling.StopRequest,
  SessionRef: signaling.SessionRef,
  SessionResponse: signaling.SessionResponse,
  LayerPreference: signaling.LayerPreference,
  LayerState: signaling.LayerState,
  LayersResponse: signaling.LayersResponse,
  PlainPushRequest: signaling.PlainPushRequest,
  PlainPullRequest: signaling.PlainPullRequest,
  PlainDescription: signaling.PlainDescription,
  SessionStatus: signaling.SessionStatus,
  ProblemDetails,
  Readiness,
};

const registry = z.registry<{ id: string }>();
for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });

export const named = {
  registry,
  get: (type: z.ZodType): { id: string } | undefined => registry.get(type),
  all: Object.entries(schemas),
};
