import { z } from 'zod';
import { PlacementRequest, PlacementResponse, Topology } from '../http.ts';
import { CHALLENGE, JSON_TYPE, json, problem, REFUSALS, Text, type Answer, type Operation, type Service } from './operation.ts';

const page = (id: string, path: string, summary: string, type: string): Operation => ({
  id,
  method: 'GET',
  path,
  tag: 'Page',
  summary,
  access: 'open',
  answers: { 200: { description: 'The file', content: { [type]: Text } } },
});

/** What control answers is passed on as it is. */
const passedOn: Record<number, Answer> = {
  401: problem('Control does not know the console’s key', CHALLENGE),
  502: problem('Control does not answer'),
  503: problem('Control refuses for now'),
};

const consoleOperations: readonly Operation[] = [
  page('console-page', '/', 'The page', 'text/html'),
  page('console-style', '/style.css', 'Its style', 'text/css'),
  page('console-script', '/app.js', 'Its script', 'text/javascript'),
  {
    id: 'console-icon',
    method: 'GET',
    path: '/favicon.ico',
    tag: 'Page',
    summary: 'There is none',
    access: 'open',
    answers: { 204: { description: 'None' } },
  },
  {
    id: 'console-settings',
    method: 'GET',
    path: '/api/settings',
    tag: 'Backend',
    summary: 'What the page shows first',
    access: 'open',
    answers: { 200: json('The settings', z.object({ stream: z.string(), region: z.string() })) },
    example: 'curl -fsS $CONSOLE/api/settings',
  },
  {
    id: 'console-place',
    method: 'POST',
    path: '/api/place/{kind}',
    tag: 'Backend',
    summary: 'Asks control for a place with the console’s app key',
    access: 'open',
    parameters: { kind: z.enum(['push', 'pull']) },
    body: { [JSON_TYPE]: PlacementRequest },
    answers: { 200: json('As of control', PlacementResponse), ...passedOn, 404: problem('Neither push nor pull') },
    example: `curl -fsS -H 'Content-Type: application/json' -d '{"stream": "live/demo"}' $CONSOLE/api/place/pull`,
  },
  {
    id: 'console-topology',
    method: 'GET',
    path: '/api/topology',
    tag: 'Backend',
    summary: 'The topology, as of control',
    access: 'open',
    answers: { 200: json('As of control', Topology), ...passedOn },
    example: 'curl -fsS $CONSOLE/api/topology',
  },
  {
    id: 'console-topology-events',
    method: 'GET',
    path: '/api/topology/events',
    tag: 'Backend',
    summary: 'Its events, as of control',
    access: 'open',
    answers: {
      200: { description: 'As of control', content: { 'text/event-stream': Text }, events: { topology: Topology } },
      ...passedOn,
    },
  },
];

export const consoleService: Service = {
  name: 'console',
  title: 'Millrace console',
  description:
    'The page and its backend, which calls control with a key of its own. Whoever reaches it can publish and watch, so it listens on ' +
    'loopback, and answers only requests that name one of its own hosts and come from no other page (403 otherwise).',
  server: 'http://127.0.0.1:7000',
  operations: consoleOperations,
  always: { ...REFUSALS, 403: problem('Another Host than the console’s own, or called by another page') },
};
