import { startTestServer } from './api-under-test.ts';

// A server in a process that tests can kill: `server-process.ts DATA_DIR`; prints how to reach it as one JSON line.
const server = await startTestServer(process.argv[2] ?? '');
const kubeconfig = server.kubeconfig('tester');
const { token } = (await import('yaml')).parse(kubeconfig).users[0].user as { token: string };
process.stdout.write(`${JSON.stringify({ url: server.url, ca: server.ca, token, kubeconfig })}\n`);
