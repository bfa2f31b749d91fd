// `npm run generate:metrics`: starts one of each server and writes docs/reference/metrics.md from what they have registered.
import { writeFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';
import { metricsOf, metricsPage } from './metrics-reference.ts';
import { Servers } from './network.ts';

const path = new URL('../../../docs/reference/metrics.md', import.meta.url).pathname;
const servers = await Servers.start();
const { registry } = await servers.addNode('one', { roles: ['relay'] });
const text = metricsPage(await metricsOf({ ...servers.registries, 'media node': registry }));
writeFileSync(path, await format(text, { ...(await resolveConfig(path)), filepath: path }));
await servers.stop();
