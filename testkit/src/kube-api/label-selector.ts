/** Parses a label selector with equality and existence: `a`, `!a`, `a=b`, `a!=b`, separated by commas. */
export function labelSelector(text: string | null): (object: { metadata: { labels?: Record<string, string> } }) => boolean {
  if (!text) return () => true;
  const tests = text.split(',').map((part) => {
    const [, not, key = '', operator, value] = /^(!?)([^=!]+)(?:(!?=)=?(.*))?$/.exec(part) ?? [];
    return (labels: Record<string, string>): boolean => {
      if (!operator) return key in labels !== (not === '!');
      return (labels[key] === value) === (operator === '=');
    };
  });
  return ({ metadata }) => tests.every((test) => test(metadata.labels ?? {}));
}
