import type { Placement, PlacementSource } from '@millrace/sdk';

/** Asks this page's backend for a placement, as an app would. */
export function placement(kind: 'push' | 'pull', stream: string, region: string | undefined): PlacementSource {
  return async (exclude) => {
    const response = await fetch(`api/place/${kind}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ stream, ...(region ? { region } : {}), exclude: exclude.slice(0, 32) }),
    });
    const answer = (await response.json()) as Placement & { title?: string; detail?: string };
    if (!response.ok) throw new Error([answer.title, answer.detail].filter(Boolean).join(': ') || `HTTP ${response.status}`);
    return answer;
  };
}
