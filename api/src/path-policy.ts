import type { StreamRoutePath } from './crds/index.ts';

export const DEFAULT_PATH_POLICY_KEY = 'default';

/**
 * Names a path policy: equal policies have equal keys, on every replica and after every restart. The policy of an empty
 * `spec.path` is "default". The order of `via` counts, that of `avoid` does not.
 */
export function pathPolicyKey(path: StreamRoutePath): string {
  const via = path.via ?? [];
  const avoidRegions = [...(path.avoid?.regions ?? [])].sort();
  const avoidProviders = [...(path.avoid?.providers ?? [])].sort();
  if (path.policy === 'LowestLatency' && via.length + avoidRegions.length + avoidProviders.length === 0)
    return DEFAULT_PATH_POLICY_KEY;
  const canonical = JSON.stringify([path.policy, via, avoidRegions, avoidProviders]);
  return `${path.policy.toLowerCase()}-${fnv1a64(canonical)}`;
}

/** FNV-1a, 64 bits, over UTF-8, as 16 hex digits (draft-eastlake-fnv): pure, so that browsers can compute keys too. */
function fnv1a64(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}
