import type { HttpRequest, HttpResponse } from '../../kube/transport.ts';
import { MemoryApi } from '../../kube/testing/memory-api.ts';

interface ApiObject {
  metadata?: { finalizers?: string[]; deletionTimestamp?: string; labels?: Record<string, string> };
}

/** The in-memory API, with two more things that this controller relies on: finalizers hold an object, and merge patches keep labels. */
export class EdgeApi extends MemoryApi {
  override async send(request: HttpRequest): Promise<HttpResponse> {
    const { pathname } = new URL(request.path, 'http://api');
    const answer = await super.send(withLabels(request, this.objects.get(pathname) as ApiObject | undefined));
    const after = this.objects.get(pathname) as ApiObject | undefined;
    if (after?.metadata?.deletionTimestamp && !after.metadata.finalizers?.length) this.put(pathname, undefined);
    return answer;
  }
}

function withLabels(request: HttpRequest, stored: ApiObject | undefined): HttpRequest {
  const body = request.body === undefined ? undefined : (JSON.parse(request.body) as ApiObject);
  if (request.method !== 'PATCH' || !body?.metadata?.labels) return request;
  const labels = { ...stored?.metadata?.labels, ...body.metadata.labels };
  return { ...request, body: JSON.stringify({ ...body, metadata: { ...body.metadata, labels } }) };
}
