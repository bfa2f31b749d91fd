import type { HttpRequest, HttpResponse } from '../../kube/transport.ts';
import { MemoryApi } from '../../kube/testing/memory-api.ts';

/** The in-memory API with what applying controllers need besides: apply creates, subresource status, deletions that wait for finalizers. */
export class ApplyApi extends MemoryApi {
  override async send(request: HttpRequest): Promise<HttpResponse> {
    const url = new URL(request.path, 'http://api');
    const body = request.body === undefined ? undefined : (JSON.parse(request.body) as ApiObject);
    if (url.pathname.endsWith('/status')) {
      const { metadata: _, ...rest } = body ?? {};
      return super.send({ ...request, path: url.pathname.replace(/\/status$/, ''), body: JSON.stringify(rest) });
    }
    const stored = this.objects.get(url.pathname) as ApiObject | undefined;
    if (request.method === 'PATCH' && !stored && url.searchParams.has('fieldManager') && body?.apiVersion)
      this.put(url.pathname, { metadata: {} });
    if (request.method === 'DELETE' && stored?.metadata?.finalizers?.length) {
      this.put(url.pathname, { ...stored, metadata: { ...stored.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
      return super.send({ ...request, method: 'GET', body: undefined });
    }
    const answer = await super.send(withLabels(request, body, stored));
    const after = this.objects.get(url.pathname) as ApiObject | undefined;
    if (after?.metadata?.deletionTimestamp && !after.metadata.finalizers?.length) this.put(url.pathname, undefined);
    return answer;
  }
}

interface ApiObject {
  apiVersion?: string;
  metadata?: { finalizers?: string[]; deletionTimestamp?: string; labels?: Record<string, string>; resourceVersion?: string };
}

/** Merge patches of labels keep the other labels. */
function withLabels(request: HttpRequest, body: ApiObject | undefined, stored: ApiObject | undefined): HttpRequest {
  if (request.method !== 'PATCH' || !body?.metadata?.labels) return request;
  const labels = { ...stored?.metadata?.labels, ...body.metadata.labels };
  return { ...request, body: JSON.stringify({ ...body, metadata: { ...body.metadata, labels } }) };
}
