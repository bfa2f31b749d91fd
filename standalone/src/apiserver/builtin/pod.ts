import { isIP } from 'node:net';
import type { FieldError, JsonObject } from '@millrace/api/validation';
import { duplicate, forbidden, invalid, isObject, jsonEqual, notSupported, required } from '@millrace/api/validation';
import type { KubeObject } from '../object.ts';

interface ContainerObject extends JsonObject {
  name: string;
}

function containersOf(spec: JsonObject): ContainerObject[] {
  return [spec['initContainers'], spec['containers']].flatMap((list) => (Array.isArray(list) ? (list as ContainerObject[]) : []));
}

function setDefault(object: JsonObject, key: string, value: JsonObject[string]): void {
  object[key] ??= value;
}

/** The defaults that kube-apiserver gives to pods (API reference, PodSpec). */
export function defaultPod(pod: JsonObject): void {
  const spec = pod['spec'];
  if (!isObject(spec)) return;
  const defaults: JsonObject = {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    enableServiceLinks: true,
    serviceAccountName: 'default',
  };
  for (const [key, value] of Object.entries(defaults)) setDefault(spec, key, value);
  spec['securityContext'] ??= {};
  for (const container of containersOf(spec)) defaultContainer(container, spec['hostNetwork'] === true);
  if (Array.isArray(spec['volumes'])) for (const volume of spec['volumes']) if (isObject(volume)) defaultVolume(volume);
}

function defaultContainer(container: JsonObject, hostNetwork: boolean): void {
  const image = typeof container['image'] === 'string' ? container['image'] : '';
  const hasTag = image.lastIndexOf(':') > image.lastIndexOf('/');
  const latest = !image.includes('@') && (!hasTag || image.endsWith(':latest'));
  setDefault(container, 'imagePullPolicy', latest ? 'Always' : 'IfNotPresent');
  setDefault(container, 'terminationMessagePath', '/dev/termination-log');
  setDefault(container, 'terminationMessagePolicy', 'File');
  setDefault(container, 'resources', {});
  const resources = container['resources'];
  if (isObject(resources)) for (const list of [resources['limits'], resources['requests']]) quantitiesToText(list);
  for (const port of Array.isArray(container['ports']) ? container['ports'] : []) {
    if (!isObject(port)) continue;
    setDefault(port, 'protocol', 'TCP');
    if (hostNetwork && port['containerPort'] !== undefined) setDefault(port, 'hostPort', port['containerPort']);
  }
  for (const probe of [container['startupProbe'], container['livenessProbe'], container['readinessProbe']]) {
    if (isObject(probe)) defaultProbe(probe);
  }
}

function quantitiesToText(list: JsonObject[string] | undefined): void {
  if (!isObject(list)) return;
  for (const [key, value] of Object.entries(list)) if (typeof value === 'number') list[key] = String(value);
}

function defaultProbe(probe: JsonObject): void {
  for (const [key, value] of Object.entries({ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 })) {
    setDefault(probe, key, value);
  }
  const http = probe['httpGet'];
  if (isObject(http)) {
    setDefault(http, 'path', '/');
    setDefault(http, 'scheme', 'HTTP');
  }
}

function defaultVolume(volume: JsonObject): void {
  if (Object.keys(volume).length === 1) volume['emptyDir'] = {};
  for (const kind of ['secret', 'configMap', 'projected', 'downwardAPI']) {
    const source = volume[kind];
    if (isObject(source)) setDefault(source, 'defaultMode', 0o644);
  }
  const projected = volume['projected'];
  const sources = isObject(projected) && Array.isArray(projected['sources']) ? projected['sources'] : [];
  for (const source of sources) {
    const token = isObject(source) ? source['serviceAccountToken'] : undefined;
    if (isObject(token)) setDefault(token, 'expirationSeconds', 3600);
  }
}

/** Status that a new pod starts with. */
export function newPodStatus(pod: KubeObject): JsonObject {
  const containers = containersOf(pod.spec ?? {});
  const lists = containers.map((container) => (isObject(container['resources']) ? container['resources'] : {}));
  const empty = (value: JsonObject[string] | undefined) => !isObject(value) || Object.keys(value).length === 0;
  const guaranteed = lists.every(({ limits, requests }) => !empty(limits) && (empty(requests) || jsonEqual(limits, requests)));
  const bestEffort = lists.every(({ limits, requests }) => empty(limits) && empty(requests));
  return { phase: 'Pending', qosClass: bestEffort ? 'BestEffort' : guaranteed ? 'Guaranteed' : 'Burstable' };
}

/** Checks beyond the schema: names, references between fields, and what may change after creation. */
export function validatePod(pod: KubeObject, old?: KubeObject): FieldError[] {
  const spec = pod.spec ?? {};
  const errors: FieldError[] = [];
  const containers = Array.isArray(spec['containers']) ? (spec['containers'] as ContainerObject[]) : [];
  if (containers.length === 0) errors.push(required('spec.containers'));
  const volumes = Array.isArray(spec['volumes']) ? spec['volumes'].filter(isObject).map((volume) => volume['name']) : [];
  volumes.forEach((name, index) => {
    if (volumes.indexOf(name) !== index) errors.push(duplicate(`spec.volumes[${index}].name`, name ?? null));
  });
  const names = new Set<string>();
  containers.forEach((container, index) => {
    const at = `spec.containers[${index}]`;
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(container.name)) {
      errors.push(
        invalid(
          `${at}.name`,
          container.name,
          'a lowercase RFC 1123 label must consist of lower case alphanumeric characters or -',
        ),
      );
    }
    if (!container['image']) errors.push(required(`${at}.image`));
    const ports = Array.isArray(container['ports']) ? container['ports'].filter(isObject) : [];
    ports.forEach(({ containerPort: port }, portIndex) => {
      if (typeof port !== 'number' || port < 1 || port > 65_535)
        errors.push(invalid(`${at}.ports[${portIndex}].containerPort`, port, 'must be between 1 and 65535, inclusive'));
    });
    const environment = Array.isArray(container['env']) ? container['env'].filter(isObject) : [];
    environment.forEach(({ name }, nameIndex) => {
      if (!name) errors.push(required(`${at}.env[${nameIndex}].name`));
    });
    const mounts = Array.isArray(container['volumeMounts']) ? container['volumeMounts'] : [];
    mounts.forEach((mount, mountIndex) => {
      if (!isObject(mount) || volumes.includes(mount['name'])) return;
      errors.push({
        reason: 'FieldValueNotFound',
        field: `${at}.volumeMounts[${mountIndex}].name`,
        message: `Not found: ${JSON.stringify(mount['name'])}`,
      });
    });
  });
  const policies = ['Always', 'OnFailure', 'Never'];
  const policy = spec['restartPolicy'];
  if (policy !== undefined && !policies.includes(policy as string))
    errors.push(notSupported('spec.restartPolicy', policy, policies));
  if (old && !jsonEqual(frozenSpec(spec), frozenSpec(old.spec ?? {}))) {
    errors.push(
      forbidden(
        'spec',
        'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
      ),
    );
  }
  errors.push(...podIpErrors(pod['status']));
  return errors;
}

/** One address of each family at most (validatePodIPs in kube-apiserver). */
function podIpErrors(status: JsonObject[string] | undefined): FieldError[] {
  if (!isObject(status) || !Array.isArray(status['podIPs'])) return [];
  const addresses = status['podIPs'].filter(isObject).map(({ ip }) => (typeof ip === 'string' ? ip : ''));
  const families = addresses.map((address) => isIP(address));
  const errors = addresses.flatMap((address, index) =>
    families[index] === 0
      ? [invalid(`status.podIPs[${index}]`, address, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')]
      : [],
  );
  if (errors.length === 0 && new Set(families).size < families.length)
    errors.push(invalid('status.podIPs', status['podIPs'], 'may specify no more than one IP for each IP family'));
  return errors;
}

function frozenSpec(spec: JsonObject): JsonObject {
  const without = (list: JsonObject[string] | undefined) =>
    Array.isArray(list) ? list.filter(isObject).map((container) => ({ ...container, image: null })) : null;
  const changeable = { activeDeadlineSeconds: null, tolerations: null };
  return { ...spec, ...changeable, containers: without(spec['containers']), initContainers: without(spec['initContainers']) };
}
