import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeApi } from '../src/kube-apis.ts';

/** The kubectl operations that people use with Millrace's resources, run with the real kubectl ("kubectl" in the Kubernetes reference). */
export function kubectlConformance(getApi: () => KubeApi): void {
  const namespace = `kubectl-${randomBytes(3).toString('hex')}`;
  const run = (args: string[], input?: string, env?: NodeJS.ProcessEnv) =>
    getApi().tryKubectl(['-n', namespace, ...args], { input, env });
  const ok = async (args: string, input?: string): Promise<string> => {
    const { code, stdout, stderr } = await run(args.split(' '), input);
    assert.equal(code, 0, `kubectl ${args}: ${stderr}${stdout}`);
    return stdout;
  };
  const refused = async (args: string, words: RegExp, input?: string): Promise<void> => {
    const { code, stderr } = await run(args.split(' '), input);
    assert.equal(code, 1, `kubectl ${args} succeeded`);
    assert.match(stderr, words);
  };
  const edge = (name: string, spec: object = {}, metadata: object = {}) =>
    JSON.stringify({
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'MediaEdge',
      metadata: { name, ...metadata },
      spec: { region: 'eu', roles: ['pull'], ...spec },
    });
  const map = (name: string, metadata: object = {}) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data: { a: '1' } });
  const apply = (manifest: string, more = '') => ok(`apply${more} -f -`, manifest);
  const jsonpath = (what: string, path: string) => ok(`get ${what} -o jsonpath={${path}}`);

  describe('kubectl', { concurrency: 2 }, () => {
    before(async () => {
      await ok(`create namespace ${namespace}`);
    });
    after(async () => {
      await ok(`delete namespace ${namespace} --wait=false`);
    });

    test('finds the resources by name, short name and category', async () => {
      const listed = await ok('api-resources --api-group=millrace.dev --no-headers -o wide');
      assert.match(listed, /^mediaedges +me +millrace\.dev\/v1alpha1 +true +MediaEdge +\S*watch/m);
      assert.match(await ok('api-versions'), /^millrace\.dev\/v1alpha1$/m);
      await apply(edge('found'));
      for (const name of ['me', 'mediaedge', 'mediaedges', 'mediaedges.millrace.dev', 'millrace'])
        assert.match(await ok(`get ${name} -o name`), /^mediaedge\.millrace\.dev\/found$/m, name);
      await refused('get nonsense', /the server doesn't have a resource type "nonsense"/);
    });

    test('explains fields', async () => {
      // A CRD is served before it appears in OpenAPI.
      for (let tries = 0; tries < 40 && (await run(['explain', 'mediaedge'])).code !== 0; tries++) await delay(250);
      const replicas = await ok('explain mediaedge.spec.replicas');
      assert.match(replicas, /FIELD: replicas <integer>/);
      assert.match(replicas, /DESCRIPTION:\s+\S+/);
      assert.match(await ok('explain mediaedge --recursive'), /cores\s+<integer>/);
      assert.match(await ok('explain pod.spec.containers.image'), /FIELD: image <string>/);
      await refused('explain mediaedge.spec.nonsense', /field "nonsense" does not exist/);
    });

    test('applies: creates, leaves as is, configures, and takes away what is no longer there', async () => {
      assert.match(await apply(edge('applied', { replicas: 2, isp: 'x' })), /applied created/);
      assert.match(await apply(edge('applied', { replicas: 2, isp: 'x' })), /applied unchanged/);
      assert.match(await apply(edge('applied', { replicas: 3 })), /applied configured/);
      assert.equal(await jsonpath('me applied', '.spec.replicas'), '3');
      assert.equal(await jsonpath('me applied', '.spec.isp'), '');
      assert.equal(await jsonpath('me applied', '.metadata.generation'), '2');
    });

    test('apply says what is wrong', async () => {
      await refused('apply -f -', /strict decoding error: unknown field "spec\.nonsense"/, edge('wrong', { nonsense: 1 }));
      await refused('apply -f -', /spec\.replicas: Invalid value/, edge('wrong', { replicas: -1 }));
      await refused('apply -f -', /spec\.roles: Required value|spec\.roles/, edge('wrong', { roles: [] }));
      const warned = await run(['apply', '--validate=warn', '-f', '-'], edge('warned', { nonsense: 1 }));
      assert.deepEqual([warned.code, /Warning: unknown field "spec\.nonsense"/.test(warned.stderr)], [0, true], warned.stderr);
    });

    test('dry runs change nothing', async () => {
      assert.match(await apply(edge('dry'), ' --dry-run=server'), /dry created \(server dry run\)/);
      assert.match(await apply(edge('dry'), ' --dry-run=client'), /dry created \(dry run\)/);
      await refused('get me dry', /mediaedges\.millrace\.dev "dry" not found/);
    });

    test('shows what would change', async () => {
      await apply(edge('differing', { replicas: 2 }));
      assert.equal((await run(['diff', '-f', '-'], edge('differing', { replicas: 2 }))).code, 0);
      for (const how of [
        ['diff', '-f', '-'],
        ['diff', '--server-side', '--force-conflicts', '-f', '-'],
      ]) {
        const { code, stdout, stderr } = await run(how, edge('differing', { replicas: 4 }));
        assert.equal(code, 1, stderr);
        assert.match(stdout, /^- +replicas: 2$/m);
        assert.match(stdout, /^\+ +replicas: 4$/m);
      }
      assert.equal(await jsonpath('me differing', '.spec.replicas'), '2');
    });

    test('applies on the server: reports conflicts, and overrides them with --force-conflicts', async () => {
      const server = ' --server-side --field-manager=';
      assert.match(await apply(edge('ssa', { replicas: 2 }), `${server}one`), /ssa serverside-applied/);
      const message = /Apply failed with 1 conflict: conflict with "one": \.spec\.replicas/;
      await refused(`apply${server}two -f -`, message, edge('ssa', { replicas: 3 }));
      await apply(edge('ssa', { replicas: 3 }), `${server}two --force-conflicts`);
      assert.equal(await jsonpath('me ssa', '.spec.replicas'), '3');
      // Fields from an earlier client-side apply are taken over by the server-side apply.
      await apply(edge('moved', { replicas: 2, isp: 'x' }));
      await apply(edge('moved', { replicas: 2 }), ' --server-side');
      assert.equal(await jsonpath('me moved', '.spec.isp'), '');
    });

    test('gets in every output format', async () => {
      await apply(edge('shown', { replicas: 2 }, { labels: { app: 'shown' } }));
      const table = await ok('get me shown --show-labels');
      assert.match(table, /^NAME +REGION/);
      assert.match(table, /^shown +eu .*app=shown$/m);
      assert.ok((await ok('get me shown -o wide')).split('\n')[0]?.length);
      assert.match(await ok('get me shown -o yaml'), /^ {2}region: eu$/m);
      assert.equal((JSON.parse(await ok('get me shown -o json')) as { kind: string }).kind, 'MediaEdge');
      assert.equal(await ok('get me -l app=shown -o name'), 'mediaedge.millrace.dev/shown\n');
      assert.equal(
        await ok('get me --field-selector=metadata.name=shown -o custom-columns=N:.metadata.name,R:.spec.replicas --no-headers'),
        'shown   2\n',
      );
      assert.match(await ok('get me,cm'), /mediaedge\.millrace\.dev\/shown/);
      assert.match(await ok('get me -A --sort-by=.metadata.creationTimestamp'), /^NAMESPACE +NAME/);
      assert.equal(await ok('get me none --ignore-not-found'), '');
      assert.match(await ok('get me shown --subresource=status -o name'), /shown/);
      for (const name of ['p1', 'p2', 'p3']) await apply(map(name, { labels: { paged: 'yes' } }));
      assert.equal(await ok('get cm -l paged=yes -o name --chunk-size=2'), 'configmap/p1\nconfigmap/p2\nconfigmap/p3\n');
    });

    test('watches', async () => {
      await apply(map('watched'));
      const watching = run(['get', 'cm', 'watched', '-w', '--request-timeout=4s', '-o', 'jsonpath={.data.a}{" "}']);
      for (const value of ['2', '3']) {
        await delay(700);
        await ok(`patch cm watched -p {"data":{"a":"${value}"}}`);
      }
      assert.equal((await watching).stdout.trim(), '1 2 3');
      const table = run(['get', 'cm', '-w', '--watch-only', '--request-timeout=3s', '--field-selector=metadata.name=born']);
      await delay(700);
      await apply(map('born'));
      assert.match((await table).stdout, /^NAME +DATA +AGE\nborn +1 /);
    });

    test('describes, with Events', async () => {
      await apply(edge('described', { replicas: 2 }));
      const uid = await jsonpath('me described', '.metadata.uid');
      const involvedObject = { apiVersion: 'millrace.dev/v1alpha1', kind: 'MediaEdge', name: 'described', namespace, uid };
      const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
      const event = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: 'e1' },
        involvedObject,
        reason: 'Tested',
        message: 'It was seen.',
        type: 'Normal',
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      };
      await ok('create -f -', JSON.stringify(event));
      const described = await ok('describe me described');
      assert.match(described, /^Kind: +MediaEdge$/m);
      assert.match(described, /Replicas: +2/);
      assert.match(described, /Normal +Tested .*It was seen\./);
      assert.match(await ok('events --for mediaedge/described'), /Tested +MediaEdge\/described +It was seen\./);
      assert.match(await ok('get events'), /Tested +mediaedge\/described/);
      assert.match(await ok(`describe namespace ${namespace}`), /Status: +Active/);
    });

    test('waits for conditions, values, creation and deletion', async () => {
      await apply(edge('awaited'));
      await refused('wait --for=condition=Ready --timeout=1s me/awaited', /timed out waiting for the condition/);
      const waiting = ok('wait --for=condition=Ready --timeout=20s me/awaited');
      const value = ok('wait --for=jsonpath={.spec.replicas}=5 --timeout=20s me/awaited');
      const creation = ok('wait --for=create --timeout=20s cm/awaited');
      const deletion = ok('wait --for=delete --timeout=20s me/awaited');
      await delay(500);
      const condition = {
        type: 'Ready',
        status: 'True',
        reason: 'Tested',
        message: '',
        lastTransitionTime: '2026-01-02T03:04:05Z',
      };
      await run([
        'patch',
        'me',
        'awaited',
        '--subresource=status',
        '--type=merge',
        '-p',
        JSON.stringify({ status: { conditions: [condition] } }),
      ]);
      await ok('patch me awaited --type=merge -p {"spec":{"replicas":5}}');
      await apply(map('awaited'));
      assert.match(await waiting, /condition met/);
      assert.match(await value, /condition met/);
      assert.match(await creation, /condition met/);
      await ok('delete me awaited');
      assert.match(await deletion, /condition met/);
    });

    test('scales, with --current-replicas only from that number', async () => {
      await apply(edge('scaled', { replicas: 2 }));
      assert.match(await ok('scale me scaled --replicas=4'), /scaled/);
      assert.equal(await jsonpath('me scaled', '.spec.replicas'), '4');
      await refused('scale me scaled --current-replicas=2 --replicas=5', /Expected replicas to be 2, was 4/);
      await refused('scale me none --replicas=1', /not found/);
      assert.equal(await jsonpath('me scaled', '.spec.replicas'), '4');
    });

    test('patches with each patch type', async () => {
      await apply(edge('patched', { replicas: 2 }));
      await ok('patch me patched --type=merge -p {"spec":{"replicas":3}}');
      await ok('patch me patched --type=json -p [{"op":"replace","path":"/spec/replicas","value":4}]');
      assert.equal(await jsonpath('me patched', '.spec.replicas'), '4');
      await refused(
        'patch me patched --type=json -p [{"op":"test","path":"/spec/replicas","value":9}]',
        /the server rejected our request|invalid/i,
      );
      await refused(
        'patch me patched --type=strategic -p {"spec":{"replicas":3}}',
        /application\/strategic-merge-patch\+json is not supported/,
      );
      await ok('patch me patched --subresource=status --type=merge -p {"status":{"replicas":7}}');
      assert.equal(await jsonpath('me patched', '.status.replicas'), '7');
    });

    test('labels, annotates and edits', async () => {
      await apply(map('edited'));
      await ok('label cm edited a=1 b=2');
      await refused('label cm edited a=3', /already has a value/);
      await ok('label cm edited a=3 b- --overwrite');
      await ok('annotate cm edited note=x');
      assert.equal(await jsonpath('cm edited', '.metadata.labels'), '{"a":"3"}');
      const { code, stderr } = await run(['edit', 'cm', 'edited'], undefined, {
        KUBE_EDITOR: 'sed -i s/note:.x/note:\\ edited/',
      });
      assert.equal(code, 0, stderr);
      assert.equal(await jsonpath('cm edited', '.metadata.annotations.note'), 'edited');
    });

    test('creates and replaces', async () => {
      await ok('create configmap made --from-literal=k=v');
      await refused('create configmap made', /configmaps "made" already exists/);
      await ok('create secret generic hidden --from-literal=k=v');
      assert.equal(await jsonpath('secret hidden', '.data.k'), Buffer.from('v').toString('base64'));
      await ok('replace -f -', map('made'));
      assert.equal(await jsonpath('cm made', '.data'), '{"a":"1"}');
      const uid = await jsonpath('cm made', '.metadata.uid');
      await ok('replace --force -f -', map('made'));
      assert.notEqual(await jsonpath('cm made', '.metadata.uid'), uid);
      const generated = await ok('create -o name -f -', map('', { generateName: 'gen-' }).replace('"name":"",', ''));
      assert.match(generated, /^configmap\/gen-[a-z0-9]{5}$/m);
    });

    test('deletes: one, by file, by label, all; waits for finalizers, cascades', async () => {
      await apply(map('d1'));
      assert.match(await ok('delete -f -', map('d1')), /configmap "d1" deleted/);
      await refused('delete cm d1', /configmaps "d1" not found/);
      await ok('delete cm d1 --ignore-not-found');
      for (const name of ['d2', 'd3']) await apply(map(name, { labels: { del: 'yes' } }));
      await ok('delete cm -l del=yes');
      assert.equal(await ok('get cm -l del=yes -o name'), '');
      await apply(map('held', { finalizers: ['conformance.test/hold'] }));
      await refused('delete cm held --timeout=1s', /timed out waiting for the condition/);
      const gone = ok('delete cm held --timeout=20s');
      await delay(700);
      await ok('patch cm held --type=merge -p {"metadata":{"finalizers":null}}');
      await gone;
      for (const cascade of ['orphan', 'foreground', 'background']) {
        await apply(map(`owner-${cascade}`));
        const owner = {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          name: `owner-${cascade}`,
          uid: await jsonpath(`cm owner-${cascade}`, '.metadata.uid'),
        };
        await apply(map(`owned-${cascade}`, { ownerReferences: [{ ...owner, blockOwnerDeletion: true }] }));
        await ok(`delete cm owner-${cascade} --cascade=${cascade}`);
        if (cascade === 'orphan') assert.equal(await jsonpath('cm owned-orphan', '.metadata.ownerReferences'), '');
        else await ok(`wait --for=delete --timeout=20s cm/owned-${cascade}`);
      }
    });

    test('runs, shows and removes pods', async () => {
      await ok('run p --image=x:1 --restart=Never');
      assert.match(await ok('get pods'), /^p +0\/1 +Pending +0 +/m);
      assert.match(await ok('get pod p -o wide'), /NOMINATED NODE|NODE/);
      await ok('set image pod/p p=x:2');
      assert.equal(await jsonpath('pod p', '.spec.containers[0].image'), 'x:2');
      assert.match(await ok('describe pod p'), /^Status: +Pending$/m);
      await ok('delete pod p --grace-period=0 --force');
      await refused('get pod p', /pods "p" not found/);
    });

    test('cordons a node', async () => {
      const name = `node-${namespace}`;
      await ok('create -f -', JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name } }));
      await ok(`cordon ${name}`);
      assert.match(await ok(`get node ${name}`), /SchedulingDisabled/);
      await ok(`uncordon ${name}`);
      await ok(`label node ${name} zone=a`);
      assert.match(await ok(`describe node ${name}`), /zone=a/);
      await ok(`delete node ${name}`);
    });

    test('shows identity and permissions, and creates tokens', async () => {
      assert.match(await ok('auth whoami'), /Username +admin/);
      assert.equal((await ok('auth can-i create mediaedges')).trim(), 'yes');
      await ok('create serviceaccount robot');
      assert.match(await ok('create token robot --audience=millrace-control'), /^[\w-]+\.[\w-]+\.[\w-]+$/m);
      assert.equal(await ok('get --raw /readyz'), 'ok');
      assert.match(await ok('version'), /Server Version: v1\.36/);
    });

    test('removes a namespace with all that is in it', async () => {
      await ok(`create namespace ${namespace}-full`);
      const { code, stderr } = await getApi().tryKubectl(['-n', `${namespace}-full`, 'apply', '-f', '-'], {
        input: edge('inside'),
      });
      assert.equal(code, 0, stderr);
      await ok(`delete namespace ${namespace}-full --timeout=60s`);
      await refused(`get namespace ${namespace}-full`, /not found/);
    });
  });
}
