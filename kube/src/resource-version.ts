/**
 * Compares two resourceVersions of one kind: negative, 0 or positive; undefined when they cannot be ordered. They are opaque unless both
 * are decimal integers, which Kubernetes guarantees for its own kinds and CRDs (KEP-5504, comparable resource version).
 */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (a === b) return 0;
  if (!/^[1-9]\d*$/.test(a) || !/^[1-9]\d*$/.test(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}
