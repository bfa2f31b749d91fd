/** What to warn of when the node's token and the trunk keys would cross a network in clear; undefined for wss:// and for loopback. */
export function plainControlWarning(controlUrl: string): string | undefined {
  const { protocol, hostname } = new URL(controlUrl);
  if (protocol !== 'ws:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')) return undefined;
  return "the node's token and the trunk key cross the network to control in clear: let control serve TLS (without MILLRACE_TLS=false) and give the operator a wss:// URL (MILLRACE_CONTROL_URL)";
}
