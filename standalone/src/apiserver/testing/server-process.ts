import { startTestServer } from './api-under-test.ts';

// A server in a process of its own, to be killed: `server-process.ts DATA_DIR`; prints its URL, token and CA as one JSON line.
const server = await startTestServer(process.argv[2] ?? '');
const { token } = (await import('yaml')).parse(server.kubeconfig('tester')).users[0].user as { token: string };
process.stdout.write(`${JSON.stringify({ url: server.url, ca: server.ca, token })}\n`);
