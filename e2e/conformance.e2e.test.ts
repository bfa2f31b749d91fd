import { readFile } from 'node:fs/promises';
import { after, before, describe } from 'node:test';
import { conformance } from '@millrace/kube-conformance';
import { kubectlConformance } from './conformance/kubectl.ts';
import type { KubeApi } from './src/kube-apis.ts';
import { kubeApis } from './src/kube-apis.ts';

// One suite, written from the documentation of the Kubernetes API, for both the real API and the embedded one.
for (const { name, start } of kubeApis) {
  describe(name, () => {
    let api: KubeApi;
    before(async () => {
      api = await start();
    });
    after(() => api.stop());
    // Runs before the other part, which makes the API forget revisions; meanwhile the garbage collector discovers that part's CRD.
    kubectlConformance(() => api);
    conformance({ kubeconfig: () => readFile(api.kubeconfigPath, 'utf8'), forgetHistory: () => api.forgetHistory() });
  });
}
