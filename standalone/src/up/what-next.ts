import type { NetworkUse } from './state-dir.ts';

/** What a person can do with a running network. */
export function whatNext({ consoleUrl, kubeconfig }: NetworkUse): string {
  return `
  Open       ${consoleUrl}
  Use        export KUBECONFIG=${kubeconfig}
  Look       kubectl get mediaedges,relaymeshes,streamroutes,medianodes -o wide
  Try        kubectl describe relaymesh world
             kubectl delete pod $(kubectl get streamroute live -o jsonpath='{.status.streams[0].paths[0].hops[2]}')
                                      (the relay that carries the picture: it goes on)
             kubectl scale mediaedge virginia-pull --replicas=2
             kubectl apply -f examples/laptop/osaka.yaml                 (one more region)
  Stop       Ctrl-C, or make down
`;
}
