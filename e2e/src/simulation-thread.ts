import { parentPort, workerData } from 'node:worker_threads';
import { campaign, type Campaign } from '@millrace/operator-simulation';

// One piece of a campaign, on a core of its own. An error that it throws reaches who started the thread.
parentPort!.postMessage(await campaign(workerData as Campaign));
