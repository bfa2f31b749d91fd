import type { MediaEdge } from '@millrace/api';
import { isLoopbackHost } from '@millrace/api';
import type { NetworkUse } from './state-dir.ts';

/** The facts about an edge that `whatNext` uses. */
export type EdgeSummary = NetworkUse['edges'][number];

export function summaryOf({ metadata, spec }: MediaEdge): EdgeSummary {
  return { name: metadata.name, region: spec.region, roles: [...spec.roles] };
}

/** Edges of examples/laptop/network.yaml, which the README's walkthrough uses. */
const LAPTOP_EDGES = ['tokyo-push', 'frankfurt-relay', 'virginia-pull'];
const APP_KEY = `kubectl get secret millrace-app-keys -o jsonpath='{.data.console}' | base64 -d`;

/** What to try with a running network: the README's steps with the laptop's manifest, otherwise steps with the network's own edges. */
export function whatNext({ consoleUrl, controlUrl, kubeconfig, edges }: NetworkUse): string {
  const isLaptops = LAPTOP_EDGES.every((name) => edges.some((edge) => edge.name === name));
  const isShared = !isLoopbackHost(new URL(consoleUrl).hostname.replace(/^\[|\]$/g, ''));
  return [
    '',
    `  Open       ${consoleUrl}`,
    ...(isShared ? beyondThisMachine() : []),
    `  Use        export KUBECONFIG=${kubeconfig}`,
    '  Look       kubectl get mediaedges,relaymeshes,streamroutes,medianodes -o wide',
    ...(isLaptops ? theWalk() : ownEdges(edges, controlUrl)),
    '  Stop       Ctrl-C, or make down',
    '',
  ].join('\n');
}

function beyondThisMachine(): string[] {
  return [
    '             (any user name; the password is the app key:',
    `              ${APP_KEY})`,
    '             Other machines can watch. Browsers give a page their camera only over https or on the same machine.',
  ];
}

function theWalk(): string[] {
  return [
    '  Try        kubectl describe relaymesh world',
    `             kubectl delete pod $(kubectl get streamroute live -o jsonpath='{.status.streams[0].paths[0].hops[2]}')`,
    '                                      (the relay that carries the picture: it goes on)',
    '             kubectl scale mediaedge virginia-pull --replicas=2',
    '             kubectl apply -f examples/laptop/osaka.yaml                 (one more region)',
  ];
}

function ownEdges(edges: readonly EdgeSummary[], controlUrl: string): string[] {
  const having = (role: 'push' | 'pull') => edges.filter(({ roles }) => roles.includes(role));
  const place = (kind: 'push' | 'pull') =>
    `curl -sS -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"stream": "live/mine"}' ${controlUrl}/v1/${kind}`;
  const lines = edges.map(({ name, region, roles }) => `${name} in ${region} (${roles.join(', ')})`);
  return [
    ...(lines.length > 0 ? lines : ['none yet: kubectl apply -f examples/one-node.yaml']).map(
      (line, index) => `  ${index === 0 ? 'Edges ' : '      '}     ${line}`,
    ),
    `  Key        KEY=$(${APP_KEY})`,
    having('push').length > 0
      ? `  Publish    ${place('push')}\n             (answers with a WHIP URL and a token, for an encoder or the SDK; or with the camera on the page)`
      : '  Publish    no edge has the push role: add it to the roles of one',
    having('pull').length > 0
      ? `  Play       ${place('pull')}\n             (answers with a WHEP URL and a token; or on the page)`
      : '  Play       no edge has the pull role: add it to the roles of one',
  ];
}
