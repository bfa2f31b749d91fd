import { Agent, request } from 'node:https';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface AdminKubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
  users: { user: { token: string } }[];
}

/** All objects of every kind that the API serves, as JSON by the kind's path, except for the paths in `skip`. */
export async function readWholeApi(kubeconfig: string, skip: (kind: string) => boolean): Promise<Map<string, string>> {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as AdminKubeconfig;
  const { server, 'certificate-authority-data': ca } = clusters[0]!.cluster;
  const agent = new Agent({ ca: Buffer.from(ca, 'base64') });
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${users[0]!.user.token}`, accept: 'application/json' };
      const asked = request(new URL(path, server), { agent, headers }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.on('end', () =>
          answer.statusCode === 200 ? resolve(text) : reject(new Error(`GET ${path}: ${answer.statusCode} ${text}`)),
        );
      });
      asked.on('error', reject).end();
    });
  const { groups } = JSON.parse(await get('/apis')) as { groups: { versions: { groupVersion: string }[] }[] };
  const roots = ['/api/v1', ...groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => `/apis/${groupVersion}`))];
  const found = new Map<string, string>();
  for (const root of roots) {
    const { resources } = JSON.parse(await get(root)) as { resources: { name: string; kind: string; verbs: string[] }[] };
    for (const { name, kind, verbs } of resources)
      if (verbs.includes('list') && !name.includes('/') && !skip(kind))
        found.set(`${root}/${name}`, await get(`${root}/${name}`));
  }
  agent.destroy();
  return found;
}
