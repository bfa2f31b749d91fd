import { z } from 'zod';
import {
  AnswerRequest,
  LayerPreference,
  LayersResponse,
  PlainDescription,
  PlainPullRequest,
  PlainPushRequest,
  SessionNotices,
  SessionRef,
  SessionResponse,
  SessionStatus,
  ShortPullRequest,
  ShortPullResponse,
  ShortPushRequest,
  ShortPushResponse,
  StopRequest,
} from '../signaling.ts';
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

const SDP = 'application/sdp';
const FRAGMENT = 'application/trickle-ice-sdpfrag';

/** An SDP that cannot be used: where, and what to do about it. */
const SdpProblem = ProblemDetails.extend({ line: z.string().optional(), remedy: z.string().optional() });
const gone = problem('The session has ended or never existed');

const created = {
  location: 'the session, relative to the URL of the request',
  etag: 'names the ICE generation, for If-Match',
  'accept-patch': FRAGMENT,
};

/** What any request for a session may be refused with. */
function refusals(act: 'push' | 'pull'): Record<number, Answer> {
  const taken = problem(
    'Somebody else publishes this name, and its StreamRoute does not let you take it over; the detail says since when, and whether that one is silent',
    RETRY_AFTER,
  );
  const own: Record<number, Answer> =
    act === 'push'
      ? { 409: taken }
      : {
          404: problem('Nobody publishes the stream now', RETRY_AFTER),
          504: problem('The stream did not come from upstream in time'),
        };
  return {
    ...own,
    307: problem('This node takes no more, is being drained or may not serve it: go there', {
      location: 'the same operation at another node',
    }),
    400: problem('The request or its SDP cannot be used; the detail names what is wrong and the remedy', undefined, SdpProblem),
    401: problem('No token where one is needed, or one that is not valid', CHALLENGE),
    403: problem('The token is for something else'),
    406: problem('No codec that both sides know, or the answer is not acceptable', undefined, SdpProblem),
    503: problem('No room here nor elsewhere, no port, or control cannot be asked', RETRY_AFTER),
    502: problem('Control answered what this node does not understand'),
  };
}

const token = z.object({
  access_token: z.string().max(4096).optional().describe('the token, for clients that cannot set headers (RFC 6750 section 2.3)'),
});

const sessionId = { id: SessionRef };
const bearer = '-H "Authorization: Bearer $TOKEN"';
const jsonBody = "-H 'Content-Type: application/json'";

function offer(protocol: 'whip' | 'whep', tag: string): Operation {
  const act = protocol === 'whip' ? 'push' : 'pull';
  const answered: Answer = { description: 'The SDP answer', content: { [SDP]: Text }, headers: created };
  const refused = refusals(act);
  return {
    id: protocol,
    method: 'POST',
    path: `/${protocol}/{app}/{name}`,
    tag,
    summary:
      act === 'push' ? 'Publish a stream (RFC 9725): the body is an SDP offer' : 'Play a stream (WHEP): the body is an SDP offer',
    detail:
      'The session that this opens ends with DELETE on Location, or when its transport is lost for 15 s. Link headers name ICE servers and the session’s events, one line for each. OPTIONS names the ICE servers too, those with credentials to holders of a token.',
    access: act,
    parameters: STREAM_NAME_HALVES,
    query:
      act === 'push'
        ? token.extend({
            group: z.string().max(128).optional().describe('streams of one group share a core'),
            replaces: z
              .string()
              .max(64)
              .optional()
              .describe('id of the publisher’s earlier session, whose name this one takes over'),
          })
        : token,
    body: { [SDP]: Text },
    answers: {
      201: answered,
      ...refused,
    },
    example: `curl -fsS -i ${bearer} -H 'Content-Type: ${SDP}' \\\n  --data-binary @offer.sdp $NODE/${protocol}/live/demo`,
  };
}

function session(protocol: 'whip' | 'whep', tag: string): Operation[] {
  const path = `/${protocol}/sessions/{id}`;
  return [
    {
      id: `${protocol}-session`,
      method: 'GET',
      path,
      tag,
      summary: 'How the session is',
      access: 'session',
      parameters: sessionId,
      answers: { 200: json('It lives', SessionStatus, { etag: 'names the ICE generation' }), 404: gone },
      example: 'curl -fsS $SESSION_URL',
    },
    {
      id: `${protocol}-patch`,
      method: 'PATCH',
      path,
      tag,
      summary: 'Trickle ICE and ICE restart (RFC 9725 section 4.3)',
      detail: `If-Match carries the ETag, or \`*\` to restart ICE; candidates whose user name is of the running generation need none.${protocol === 'whep' ? ' To an offer of the node (POST /signaling/pull) the body is the SDP answer, without If-Match.' : ''}`,
      access: 'session',
      parameters: sessionId,
      headers: { 'if-match': 'the ETag of the session, or * to restart ICE' },
      body: { [FRAGMENT]: Text, ...(protocol === 'whep' ? { [SDP]: Text } : {}) },
      answers: {
        200: {
          description: 'ICE restarted: the node’s credentials',
          content: { [FRAGMENT]: Text },
          headers: { etag: 'of the new generation' },
        },
        204: { description: 'Taken. Without an ETag: the generation is as before' },
        400: problem('The fragment cannot be used', undefined, SdpProblem),
        404: gone,
        406: problem('The answer takes no track', undefined, SdpProblem),
        409: problem('The session is in another state'),
        412: problem('The fragment belongs to another ICE generation'),
        428: problem('If-Match is missing, and the fragment is of another ICE generation'),
      },
    },
    {
      id: `${protocol}-delete`,
      method: 'DELETE',
      path,
      tag,
      summary: 'End the session',
      access: 'session',
      parameters: sessionId,
      answers: { 200: { description: 'Ended, now or not long ago' }, 404: gone },
      example: 'curl -fsS -X DELETE $SESSION_URL',
    },
    {
      id: `${protocol}-events`,
      method: 'GET',
      path: `${path}/events`,
      tag,
      summary: 'What the session should know, as server-sent events',
      access: 'session',
      parameters: sessionId,
      answers: {
        200: { description: 'Ends with the session', content: { 'text/event-stream': Text }, events: SessionNotices },
        404: gone,
        429: problem('At most 4 listeners for a session', RETRY_AFTER),
      },
      example: 'curl -sS --max-time 2 $SESSION_URL/events || test $? = 28',
    },
  ];
}

const layers: Operation[] = [
  {
    id: 'layers',
    method: 'GET',
    path: '/whep/sessions/{id}/layers',
    tag: 'WHEP',
    summary: 'Simulcast and SVC layers of the tracks that have several: which exist, which is sent, which was requested',
    access: 'session',
    parameters: sessionId,
    answers: { 200: json('The layers', LayersResponse), 404: gone },
    example: 'curl -fsS $SESSION_URL/layers',
  },
  {
    id: 'prefer-layers',
    method: 'POST',
    path: '/whep/sessions/{id}/layers',
    tag: 'WHEP',
    summary: 'Set the highest layer to receive; without spatialLayer, the best one again',
    access: 'session',
    parameters: sessionId,
    body: { [JSON_TYPE]: LayerPreference },
    answers: { 200: json('The layers', LayersResponse), 404: gone },
    example: `curl -fsS ${jsonBody} -d '{"spatialLayer": 0}' $SESSION_URL/layers`,
  },
];

const short: Operation[] = [
  {
    id: 'short-push',
    method: 'POST',
    path: '/signaling/push',
    tag: 'Short signalling',
    summary: 'Publish with one JSON request: the client offers',
    access: 'push',
    query: token,
    body: { [JSON_TYPE]: ShortPushRequest },
    answers: { 200: json('The answer', ShortPushResponse), ...refusals('push') },
    example: `node -p 'JSON.stringify({ stream: "live/demo", sdp: fs.readFileSync("offer.sdp", "utf8") })' |\n  curl -fsS ${bearer} ${jsonBody} -d @- $NODE/signaling/push`,
  },
  {
    id: 'short-pull',
    method: 'POST',
    path: '/signaling/pull',
    tag: 'Short signalling',
    summary: 'Play: the node offers, the client answers with sendanswer within 30 s',
    access: 'pull',
    query: token,
    body: { [JSON_TYPE]: ShortPullRequest },
    answers: {
      200: json('The offer; resource and events are relative to the URL of the request', ShortPullResponse),
      ...refusals('pull'),
    },
    example: `curl -fsS ${bearer} ${jsonBody} -d '{"stream": "live/demo"}' $NODE/signaling/pull`,
  },
  {
    id: 'short-answer',
    method: 'POST',
    path: '/signaling/sendanswer',
    tag: 'Short signalling',
    summary: 'The client’s answer to an offer',
    access: 'session',
    body: { [JSON_TYPE]: AnswerRequest },
    answers: {
      200: json('Taken', SessionResponse),
      400: problem('The answer cannot be used', undefined, SdpProblem),
      404: gone,
      406: problem('The answer takes no track', undefined, SdpProblem),
      409: problem('The session waits for no answer'),
    },
  },
  ...(['POST', 'DELETE'] as const).map((method): Operation => ({
    id: method === 'POST' ? 'short-stop' : 'short-delete',
    method,
    path: '/signaling/stop',
    tag: 'Short signalling',
    summary: method === 'POST' ? 'End a session' : 'The same with DELETE',
    access: 'session',
    body: { [JSON_TYPE]: StopRequest },
    answers: { 200: json('Ended, now or not long ago', SessionResponse), 404: gone },
  })),
];

const RTP_RULES =
  'Always needs a token. An `address.ip` other than the caller’s own is 403 unless the token was asked for with `rtpTo`; the same holds for where packets come from when no `address` was given: otherwise the session ends.';

const LIFE_RULE =
  'The viewer must send RTCP receiver reports, or any other packet, from its address to `ip` and `port` of the answer: the first within 15 s, then one each 10 s (the session ends after 30 s without). FFmpeg as a player of an SDP file sends no reports to that port: send packets of a byte or more beside it.';

const plain: Operation[] = [
  {
    id: 'rtp-push',
    method: 'POST',
    path: '/rtp/push',
    tag: 'Plain RTP',
    summary: 'Publish plain RTP, or SRTP with keys in the body, for clients without ICE and DTLS',
    detail: 'Needs `address` (packets from elsewhere are dropped) or `srtp`. ' + RTP_RULES,
    access: 'rtpPush',
    query: token,
    body: { [JSON_TYPE]: PlainPushRequest },
    answers: { 201: json('Where to send', PlainDescription), ...refusals('push') },
    example: `curl -fsS ${bearer} ${jsonBody} -d '{"stream": "live/demo", "address": {"ip": "127.0.0.1", "port": 5004},\n  "tracks": [{"kind": "video", "mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000, "ssrc": 4711}]}' $NODE/rtp/push`,
  },
  {
    id: 'rtp-pull',
    method: 'POST',
    path: '/rtp/pull',
    tag: 'Plain RTP',
    summary: 'Play plain RTP, or SRTP with keys in the body',
    detail:
      'Needs `address` (where to send) or `srtp` (then it goes to where the client’s first packet comes from). ' +
      `${LIFE_RULE} ${RTP_RULES}`,
    access: 'rtpPull',
    query: token,
    body: { [JSON_TYPE]: PlainPullRequest },
    answers: { 201: json('What comes', PlainDescription), ...refusals('pull') },
    example: `curl -fsS ${bearer} ${jsonBody} -d '{"stream": "live/demo", "address": {"ip": "127.0.0.1", "port": 5006}}' $NODE/rtp/pull`,
  },
  {
    id: 'rtp-session',
    method: 'GET',
    path: '/rtp/sessions/{id}',
    tag: 'Plain RTP',
    summary: 'Whether the session still lives: plain RTP has no other way to notice',
    access: 'session',
    parameters: sessionId,
    answers: { 200: json('It lives', SessionStatus), 404: gone },
    example: 'curl -fsS $NODE/rtp/sessions/$SESSION',
  },
  {
    id: 'rtp-delete',
    method: 'DELETE',
    path: '/rtp/sessions/{id}',
    tag: 'Plain RTP',
    summary: 'End the session',
    access: 'session',
    parameters: sessionId,
    answers: { 200: { description: 'Ended, now or not long ago' }, 404: gone },
    example: 'curl -fsS -X DELETE $NODE/rtp/sessions/$SESSION',
  },
];

const mediaNodeOperations: readonly Operation[] = [
  offer('whip', 'WHIP'),
  ...session('whip', 'WHIP'),
  offer('whep', 'WHEP'),
  ...session('whep', 'WHEP'),
  ...layers,
  ...short,
  ...plain,
  {
    id: 'node-openapi',
    method: 'GET',
    path: '/openapi.json',
    tag: 'Reference',
    summary: 'This document',
    access: 'open',
    answers: { 200: json('OpenAPI 3.1', z.looseObject({ openapi: z.string() })) },
    example: 'curl -fsS $NODE/openapi.json',
  },
];

export const mediaNodeService: Service = {
  name: 'media-node',
  title: 'Millrace media node',
  description:
    'Signalling of publishers and viewers: WHIP (RFC 9725), WHEP, short JSON forms, plain RTP. Clients show the token that control gave ' +
    'them as a bearer token. Errors are problem details (RFC 9457). One valid token is enough, whatever else is sent beside it, and on a public stream none is needed. Any page may call (CORS). OPTIONS is ' +
    'answered on every path with 200, Allow and what the path accepts, HEAD where GET is, other methods with 405. Doubled, encoded and ' +
    'trailing slashes mean what one means, and references in answers hold behind a proxy that strips a prefix.',
  server: 'http://localhost:8080',
  operations: mediaNodeOperations,
  always: REFUSALS,
};
