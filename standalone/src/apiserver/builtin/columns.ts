import type { JsonObject } from '@millrace/api/validation';
import { isObject } from '@millrace/api/validation';
import type { KubeObject } from '../object.ts';
import { valueAt } from '../object.ts';
import type { Column } from '../resource-type.ts';

/** Formats an age as kubectl does: at most two units while it is short, one when it is long (apimachinery duration.HumanDuration). */
export function humanAge(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < -1) return '<invalid>';
  if (s < 0) return '0s';
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small ? `${big}${bigUnit}${small}${smallUnit}` : `${big}${bigUnit}`;
  if (s < 120) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 10) return two(m, 'm', s % 60, 's');
  if (m < 180) return `${m}m`;
  const h = Math.floor(m / 60);
  if (h < 8) return two(h, 'h', m % 60, 'm');
  if (h < 48) return `${h}h`;
  const d = Math.floor(h / 24);
  if (d < 8) return two(d, 'd', h % 24, 'h');
  if (d < 730) return `${d}d`;
  const y = Math.floor(d / 365);
  return y < 8 ? two(y, 'y', d % 365, 'd') : `${y}y`;
}

export const nameColumn: Column = { name: 'Name', type: 'string', format: 'name', cell: (object) => object.metadata.name };
export const ageColumn: Column = {
  name: 'Age',
  type: 'string',
  cell: (object, now) => humanAge(now - Date.parse(object.metadata.creationTimestamp)),
};
const createdColumn: Column = { name: 'Created At', type: 'date', cell: (object) => object.metadata.creationTimestamp };

const text = (object: unknown, ...path: string[]) => {
  const value = valueAt(object, path);
  return value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
};
const count = (value: unknown) => (isObject(value) ? Object.keys(value).length : 0);
const orNone = (value: string) => value || '<none>';
const objects = (value: unknown): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : []);
const column = (name: string, cell: Column['cell'], priority = 0, type = 'string'): Column => ({ name, type, priority, cell });

function podStatus(pod: KubeObject): string {
  const states = objects(pod.status?.['containerStatuses']).map((status) => status['state']);
  if (pod.metadata.deletionTimestamp) return 'Terminating';
  const waiting = states.map((state) => text(state, 'waiting', 'reason')).find((reason) => reason !== '');
  if (waiting) return waiting;
  const ended = states.map((state) => text(state, 'terminated', 'reason')).find((reason) => reason !== '');
  const running = states.some((state) => valueAt(state, ['running']) !== undefined);
  return ended && !running ? ended : text(pod, 'status', 'reason') || text(pod, 'status', 'phase');
}

function podReady(pod: KubeObject): string {
  const statuses = objects(pod.status?.['containerStatuses']);
  return `${statuses.filter((status) => status['ready'] === true).length}/${objects(pod.spec?.['containers']).length}`;
}

function nodeStatus(node: KubeObject): string {
  const ready = objects(node.status?.['conditions']).find((condition) => condition['type'] === 'Ready');
  const state = ready?.['status'] === 'True' ? 'Ready' : ready ? 'NotReady' : 'Unknown';
  return node.spec?.['unschedulable'] === true ? `${state},SchedulingDisabled` : state;
}

const address = (node: KubeObject, type: string) =>
  orNone(
    text(
      objects(node.status?.['addresses']).find((entry) => entry['type'] === type),
      'address',
    ),
  );

export const podColumns: Column[] = [
  nameColumn,
  column('Ready', podReady),
  column('Status', podStatus),
  column('Restarts', (pod) =>
    objects(pod.status?.['containerStatuses']).reduce((sum, status) => sum + Number(status['restartCount'] ?? 0), 0),
  ),
  ageColumn,
  column('IP', (pod) => orNone(text(pod, 'status', 'podIP')), 1),
  column('Node', (pod) => orNone(text(pod, 'spec', 'nodeName')), 1),
];
export const nodeColumns: Column[] = [
  nameColumn,
  column('Status', nodeStatus),
  column('Roles', () => '<none>'),
  ageColumn,
  column('Version', (node) => text(node, 'status', 'nodeInfo', 'kubeletVersion')),
  column('Internal-IP', (node) => address(node, 'InternalIP'), 1),
  column('OS-Image', (node) => text(node, 'status', 'nodeInfo', 'osImage'), 1),
  column('Kernel-Version', (node) => text(node, 'status', 'nodeInfo', 'kernelVersion'), 1),
];
export const namespaceColumns: Column[] = [nameColumn, column('Status', (object) => text(object, 'status', 'phase')), ageColumn];
export const secretColumns: Column[] = [
  nameColumn,
  column('Type', (object) => text(object, 'type')),
  column('Data', (object) => count(object['data']), 0, 'integer'),
  ageColumn,
];
export const configMapColumns: Column[] = [
  nameColumn,
  column('Data', (object) => count(object['data']) + count(object['binaryData']), 0, 'integer'),
  ageColumn,
];
export const eventColumns: Column[] = [
  column('Last Seen', (event, now) => {
    const seen = ['series.lastObservedTime', 'lastTimestamp', 'eventTime', 'firstTimestamp']
      .map((path) => text(event, ...path.split('.')))
      .find(Boolean);
    return seen ? humanAge(now - Date.parse(seen)) : '<unknown>';
  }),
  column('Type', (event) => text(event, 'type')),
  column('Reason', (event) => text(event, 'reason')),
  column('Object', (event) => `${text(event, 'involvedObject', 'kind').toLowerCase()}/${text(event, 'involvedObject', 'name')}`),
  column('Subobject', (event) => text(event, 'involvedObject', 'fieldPath'), 1),
  column('Source', (event) => text(event, 'source', 'component') || text(event, 'reportingComponent'), 1),
  column('Message', (event) => text(event, 'message').trim()),
  column('Count', (event) => Number(valueAt(event, ['count']) ?? 1), 1, 'integer'),
  { ...nameColumn, priority: 1 },
];
export const leaseColumns: Column[] = [
  nameColumn,
  column('Holder', (object) => text(object, 'spec', 'holderIdentity')),
  ageColumn,
];
export const budgetColumns: Column[] = [
  nameColumn,
  column('Min Available', (object) => text(object, 'spec', 'minAvailable') || 'N/A'),
  column('Max Unavailable', (object) => text(object, 'spec', 'maxUnavailable') || 'N/A'),
  column('Allowed Disruptions', (object) => Number(valueAt(object, ['status', 'disruptionsAllowed']) ?? 0), 0, 'integer'),
  ageColumn,
];
export const crdColumns: Column[] = [nameColumn, createdColumn];
export const plainColumns: Column[] = [nameColumn, ageColumn];
