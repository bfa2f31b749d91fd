import http from 'node:http';
import type { AddressInfo } from 'node:net';

/** Express 5 (router 2): the structure of a middleware or route. */
interface Layer {
  rawPath?: string | string[] | RegExp;
  route?: { path: string; stack: { method?: string }[] };
  handle: { stack?: Layer[] };
}

/** Servers that have listened since `watchServers`, by port. */
const servers: http.Server[] = [];

/** Remembers every HTTP server of this process that listens from now on. Call it before anything starts. */
export function watchServers(): void {
  const prototype = http.Server.prototype as unknown as { listen: (...args: unknown[]) => http.Server };
  const listen = prototype.listen;
  prototype.listen = function (this: http.Server, ...args: unknown[]) {
    servers.push(this);
    return listen.apply(this, args);
  };
}

/** The routes of the Express app behind a URL, as `GET /v1/streams/{app}/{name}`. */
export function routesAt(url: string): string[] {
  const port = Number(new URL(url).port);
  const server = servers.find((each) => each.listening && (each.address() as AddressInfo).port === port);
  const apps = (server?.listeners('request') ?? []) as unknown as { router?: { stack: Layer[] } }[];
  const app = apps.find(({ router }) => router !== undefined);
  if (!app?.router) throw new Error(`no Express app listens at ${url}`);
  return [...new Set(routesOf(app.router.stack, ''))].sort();
}

function routesOf(stack: readonly Layer[], prefix: string): string[] {
  return stack.flatMap((layer) => {
    if (layer.route) {
      const path = prefix + layer.route.path;
      // `all` answers 405 for methods that the route does not have.
      const methods = layer.route.stack.flatMap(({ method }) => (method ? [method.toUpperCase()] : []));
      return methods.map((method) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`);
    }
    if (!layer.handle.stack) return [];
    const at = layer.rawPath ?? '/';
    if (typeof at !== 'string') throw new Error(`a router is mounted at ${String(at)}, which this does not understand`);
    return routesOf(layer.handle.stack, prefix + (at === '/' ? '' : at));
  });
}
