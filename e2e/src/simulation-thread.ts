import { parentPort, workerData } from 'node:worker_threads';
import { campaign, type Campaign } from '@millrace/operator-simulation';

// Runs one part of a campaign in a worker thread. An error that it throws reaches the thread's parent.
parentPort!.postMessage(await campaign(workerData as Campaign));
