import { z } from 'zod';
import {
  NodeReason,
  PlacementRequest,
  PlacementResponse,
  SignalingRequest,
  StreamList,
  StreamListQuery,
  StreamView,
  Topology,
} from '../http.ts';
import { STREAM_NAME_HALVES } from '../stream-name.ts';
import {
  CHALLENGE,
  JSON_TYPE,
  json,
  problem,
  ProblemDetails,
  REFUSALS,
  RETRY_AFTER,
  Text,
  type Answer,
  type Operation,
  type Service,
} from './operation.ts';

const needsKey: Record<number, Answer> = { 401: problem('No key, or none that is known', CHALLENGE) };
const otherApp: Record<number, Answer> = { 403: problem('The key is for other apps; it names them') };
const NoRoom = ProblemDetails.extend({ reasons: z.array(NodeReason).optional() });

const appHeader = '-H "Authorization: Bearer $APP_KEY"';

function placement(act: 'push' | 'pull', what: string): Operation {
  return {
    id: act,
    method: 'POST',
    path: `/v1/${act}`,
    tag: 'Placement',
    summary: `Place a ${what}: a node, a token for it, and where to go when it cannot be reached`,
    detail: `An app's backend calls this and hands the answer to its client, which goes to \`url\` with the token. The app decides who may ${act}; control trusts it.`,
    access: 'app',
    body: { [JSON_TYPE]: PlacementRequest },
    answers: {
      200: json('A place, alternatives in order of preference, and a token that is good at all of them', PlacementResponse),
      ...needsKey,
      ...otherApp,
      503: problem(
        'No media node can take it now, each with its reason; or no signing key has been read yet',
        RETRY_AFTER,
        NoRoom,
      ),
    },
    example: `curl -fsS ${appHeader} -H 'Content-Type: application/json' \\\n  -d '{"stream": "live/demo", "user": "anna"}' $CONTROL/v1/${act}`,
  };
}

function redirect(act: 'push' | 'pull'): Operation {
  return {
    id: `signaling-${act}`,
    method: 'POST',
    path: `/signaling/${act}`,
    tag: 'Short signalling',
    summary: `Find the node for a short-form ${act}`,
    detail:
      'For native clients that know only one address: they repeat the request, body and all, at the node that Location names (307).',
    access: act,
    body: { [JSON_TYPE]: SignalingRequest },
    answers: {
      307: { description: 'Send the same request there', headers: { location: 'the same operation at a node' } },
      401: problem('No token, or one that is not valid', CHALLENGE),
      403: problem('The token is for something else'),
      503: problem('No media node can take it now, each with its reason', RETRY_AFTER, NoRoom),
    },
  };
}

function toNode(id: string, method: 'POST' | 'DELETE', path: string, summary: string): Operation {
  return {
    id,
    method,
    path,
    tag: 'Short signalling',
    summary,
    detail: 'Control reads only the node in the session id; the node decides.',
    access: 'open',
    body: { [JSON_TYPE]: SignalingRequest },
    answers: {
      307: { description: 'Send the same request there', headers: { location: 'the same operation at the session’s node' } },
      404: problem('The session id names no node that is known'),
    },
  };
}

const controlOperations: readonly Operation[] = [
  placement('push', 'publisher'),
  placement('pull', 'viewer'),
  {
    id: 'streams',
    method: 'GET',
    path: '/v1/streams',
    tag: 'Streams',
    summary: 'Streams of the key’s apps that are published now, in order of name',
    access: 'app',
    query: StreamListQuery,
    answers: { 200: json('A page; `continue` is there when more follow', StreamList), ...needsKey, ...otherApp },
    example: `curl -fsS ${appHeader} "$CONTROL/v1/streams?prefix=live/&limit=10"`,
  },
  {
    id: 'stream',
    method: 'GET',
    path: '/v1/streams/{app}/{name}',
    tag: 'Streams',
    summary: 'One stream: its origin, tracks, policy, and the path to each region with what is measured on it',
    access: 'app',
    parameters: STREAM_NAME_HALVES,
    answers: {
      200: json('The stream', StreamView),
      ...needsKey,
      ...otherApp,
      404: problem('Nobody publishes it now', RETRY_AFTER),
    },
    example: `curl -fsS ${appHeader} $CONTROL/v1/streams/live/demo`,
  },
  {
    id: 'topology',
    method: 'GET',
    path: '/v1/topology',
    tag: 'Topology',
    summary: 'The network at a glance: regions, nodes, links, routes, and the streams of the key’s apps',
    access: 'app',
    answers: { 200: json('At most a second old, and bounded: `truncated` names what was cut', Topology), ...needsKey },
    example: `curl -fsS ${appHeader} $CONTROL/v1/topology`,
  },
  {
    id: 'topology-events',
    method: 'GET',
    path: '/v1/topology/events',
    tag: 'Topology',
    summary: 'The same as server-sent events: at once, on each change, and at least every 15 s',
    access: 'app',
    answers: {
      200: {
        description: 'Goes on until the client ends it',
        content: { 'text/event-stream': Text },
        events: { topology: Topology },
      },
      ...needsKey,
      503: problem('Too many listeners', RETRY_AFTER),
    },
    example: `curl -sS --max-time 2 ${appHeader} $CONTROL/v1/topology/events || test $? = 28`,
  },
  redirect('push'),
  redirect('pull'),
  toNode('signaling-answer', 'POST', '/signaling/sendanswer', 'Find the node that waits for an answer'),
  toNode('signaling-stop', 'POST', '/signaling/stop', 'Find the node whose session is to end'),
  toNode('signaling-delete', 'DELETE', '/signaling/stop', 'The same with DELETE'),
  {
    id: 'openapi',
    method: 'GET',
    path: '/openapi.json',
    tag: 'Reference',
    summary: 'This document',
    access: 'open',
    answers: { 200: json('OpenAPI 3.1', z.looseObject({ openapi: z.string() })) },
    example: 'curl -fsS $CONTROL/openapi.json',
  },
];

export const controlService: Service = {
  name: 'control',
  title: 'Millrace control',
  description:
    'What apps call to place publishers and viewers and to see what is live. Apps show their key as a bearer token; a key may be for some apps only, that is, for streams whose names begin so (Secret `millrace-app-keys`, `<key> apps=live,shop-*`). Errors are ' +
    'problem details (RFC 9457). Media nodes dial `GET /v1/agent` on the same port, a WebSocket that is not described here.',
  server: 'http://localhost:8080',
  operations: controlOperations,
  always: REFUSALS,
};
