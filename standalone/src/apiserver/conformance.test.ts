import { after, before, describe } from 'node:test';
import { ApiUnderTest } from './testing/api-under-test.ts';
import { conformance } from '@millrace/kube-conformance';

// The same tests run against a real kube-apiserver in e2e/conformance.e2e.test.ts.
describe('the standalone API', () => {
  let api: ApiUnderTest;
  before(async () => {
    api = await ApiUnderTest.start();
  });
  after(() => api.stop());
  conformance({ kubeconfig: () => api.kubeconfig(), forgetHistory: () => api.restart() });
});
