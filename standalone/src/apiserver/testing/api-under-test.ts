import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@millrace/service';
import type { ApiServer, ApiServerOptions } from '../start.ts';
import { startApiServer } from '../start.ts';
import { ApiClient } from '@millrace/kube-conformance';

/** A standalone API server with its own scratch folder, and a client for it. */
export class ApiUnderTest extends ApiClient {
  readonly dataDir: string;
  #server: ApiServer;

  private constructor(server: ApiServer, dataDir: string) {
    super(server.kubeconfig('tester'));
    this.#server = server;
    this.dataDir = dataDir;
  }

  static async start(): Promise<ApiUnderTest> {
    const dataDir = mkdtempSync(join(tmpdir(), 'millrace-api-'));
    return new ApiUnderTest(await startTestServer(dataDir), dataDir);
  }

  kubeconfig(): string {
    return this.#server.kubeconfig('tester');
  }

  /** Restarts the server at the same address with the same data. */
  async restart(): Promise<void> {
    await this.#server.close();
    this.#server = await startTestServer(this.dataDir, { port: this.#server.port });
  }

  async stop(): Promise<void> {
    this.close();
    await this.#server.close();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

export const testToken = randomBytes(16).toString('hex');

export function startTestServer(
  dataDir: string,
  more: Partial<Pick<ApiServerOptions, 'port' | 'limits'>> = {},
): Promise<ApiServer> {
  const logger = createLogger({ service: 'apiserver', level: 'warn' });
  return startApiServer({ dataDir, tokens: { [testToken]: { user: 'tester', groups: ['system:masters'] } }, logger, ...more });
}
