import { readFile } from 'node:fs/promises';
import { after, before, describe } from 'node:test';
import { conformance } from '@millrace/kube-conformance';
import { kubectlConformance } from './conformance/kubectl.ts';
import type { KubeApi } from './src/kube-apis.ts';
import { kubeApis } from './src/kube-apis.ts';

// One suite, written from what Kubernetes documents of its API: it holds on the real one and on the one that stands in for it.
for (const { name, start } of kubeApis) {
  describe(name, () => {
    let api: KubeApi;
    before(async () => {
      api = await start();
    });
    after(() => api.stop());
    // Before the other part, which makes the API forget; meanwhile the garbage collector learns of that part's CRD.
    kubectlConformance(() => api);
    conformance({ kubeconfig: () => readFile(api.kubeconfigPath, 'utf8'), forgetHistory: () => api.forgetHistory() });
  });
}
