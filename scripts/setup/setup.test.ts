import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const scripts = fileURLToPath(new URL('.', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'millrace-setup-test-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a command on a machine with the given fake programs and an empty cache. */
function onMachine(
  programs: Record<string, string>,
  command: string[],
  env: NodeJS.ProcessEnv = {},
  cwd = scratch,
): Promise<Outcome> {
  const folder = mkdtempSync(join(scratch, 'machine-'));
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const environment = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, XDG_CACHE_HOME: join(folder, 'cache'), ...env };
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    execFile(program, args, { cwd, env: environment }, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test('without root, one message names everything that is missing and the command that installs it', async () => {
  // The download is cut before it begins.
  const env = { MILLRACE_DOWNLOAD_TIMEOUT: '0.001', MEDIASOUP_WORKER_BIN: '' };
  const { status, stderr } = await onMachine(
    { id: 'echo 1000', 'dpkg-query': 'exit 1' },
    [join(scripts, 'main.sh'), 'worker', '--', 'echo', 'ran'],
    env,
  );
  assert.equal(status, 1);
  const errors = stderr.split('\n').filter((line) => line.startsWith('error:'));
  assert.equal(errors.length, 1, stderr);
  assert.match(stderr, /sudo apt-get update && sudo apt-get install --no-install-recommends g\+\+ .*libssl-dev/);
});

test('an old Node is rejected with its version and the required one', async () => {
  const { status, stderr } = await onMachine({ node: 'test "$1" = -v && echo v18.1.0 || echo 18' }, [
    join(scripts, 'main.sh'),
    'node',
    '--',
    'true',
  ]);
  assert.deepEqual(
    [status, stderr],
    [1, 'error: Node.js v18.1.0 is too old: 20 or newer is needed to install the packages (Node 24 then comes with them).\n'],
  );
});

test('a MEDIASOUP_WORKER_BIN that is not a program is refused with its path', async () => {
  const { status, stderr } = await onMachine({}, [join(scripts, 'main.sh'), 'worker', '--', 'true'], {
    MEDIASOUP_WORKER_BIN: '/nowhere/worker',
  });
  assert.equal(status, 1);
  assert.match(stderr, /MEDIASOUP_WORKER_BIN names '\/nowhere\/worker', which is not a program/);
});

test('the command gets the environment that was set up, and its exit status is returned', async () => {
  const command = ['sh', '-c', 'echo "worker is $MEDIASOUP_WORKER_BIN"; exit 7'];
  const { status, stdout } = await onMachine({}, [join(scripts, 'main.sh'), 'worker', '--', ...command], {
    MEDIASOUP_WORKER_BIN: '/bin/true',
  });
  assert.deepEqual([status, stdout], [7, 'worker is /bin/true\n']);
});

test('a failed step shows the end of its output', async () => {
  const step = `. ${join(scripts, 'say.sh')}; with_progress Fetching sh -c 'echo one; echo two; exit 3'`;
  const { status, stderr } = await onMachine({}, ['bash', '-c', step], { PROGRESS_TAIL: '1' });
  assert.equal(status, 3);
  assert.match(stderr, /^Fetching \.\.\.\nFetching: failed after \d+ s\ntwo\n$/);
});

/** A checkout whose worker is always a download: its recipe never finds a binary and has no build. */
function checkoutWithPin(archive: string, sum: string): string {
  const folder = mkdtempSync(join(scratch, 'checkout-'));
  cpSync(scripts, join(folder, 'scripts/setup'), { recursive: true });
  writeFileSync(join(folder, 'scripts/setup/worker.sha256'), `# a comment\n${sum}  ${archive}\n`);
  mkdirSync(join(folder, 'worker'));
  writeFileSync(join(folder, 'worker/build.sh'), '#!/bin/sh\n[ "$1" != --path ] || { echo /nowhere; exit 1; }\necho built >&2\n');
  chmodSync(join(folder, 'worker/build.sh'), 0o755);
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(scripts, '../../node_modules/mediasoup'), join(folder, 'node_modules/mediasoup'));
  return folder;
}

/** Serves an archive with a program, as mediasoup's releases do. */
async function releaseWith(program: string): Promise<{ url: string; sum: string; requested: string[]; close: () => void }> {
  const folder = mkdtempSync(join(scratch, 'release-'));
  writeFileSync(join(folder, 'mediasoup-worker'), program);
  const archive = execFileSync('tar', ['-C', folder, '-czf', '-', 'mediasoup-worker']);
  const requested: string[] = [];
  const server = createServer((req, res) => {
    requested.push(req.url ?? '');
    res.end(archive);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sum: sha256(archive),
    requested,
    close: () => server.close(),
  };
}

const mediasoup = JSON.parse(readFileSync(join(scripts, '../../node_modules/mediasoup/package.json'), 'utf8')) as {
  version: string;
};
const workerArchive = `mediasoup-worker-${mediasoup.version}-linux-x64-kernel6.tgz`;
const unameOfThatArchive = 'if [ "$1" = -r ]; then echo 6.1.0; else echo x86_64; fi';
const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

for (const isTampered of [false, true]) {
  const what = isTampered
    ? 'a downloaded worker with another checksum is not run, and the error names file, expected and actual sum'
    : 'a downloaded worker with the pinned checksum is used';
  test(what, async () => {
    const started = join(mkdtempSync(join(scratch, 'started-')), 'started');
    const program = `#!/bin/sh\n: >'${started}'\nexit 41\n`;
    const release = await releaseWith(program);
    const pinned = isTampered ? sha256('the archive as it was released') : release.sum;
    try {
      const { status, stdout, stderr } = await onMachine(
        { uname: unameOfThatArchive },
        [
          join(checkoutWithPin(workerArchive, pinned), 'scripts/setup/main.sh'),
          'worker',
          '--',
          'sh',
          '-c',
          'echo "$MEDIASOUP_WORKER_BIN"',
        ],
        { MEDIASOUP_WORKER_BIN: '', MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL: release.url },
      );
      assert.deepEqual(release.requested, [`/${mediasoup.version}/${workerArchive}`]);
      assert.equal(existsSync(started), !isTampered);
      if (isTampered) {
        assert.equal(status, 1, stderr);
        assert.match(stderr, new RegExp(`error: ${workerArchive} from .*Expected SHA-256 ${pinned} .*, got ${release.sum}\\.`));
      } else {
        assert.equal(status, 0, stderr);
        assert.equal(readFileSync(stdout.trim(), 'utf8'), program);
      }
    } finally {
      release.close();
    }
  });
}

test('a worker without a pinned checksum is not downloaded but built', async () => {
  const release = await releaseWith('#!/bin/sh\nexit 41\n');
  try {
    const checkout = checkoutWithPin('mediasoup-worker-0.0.0-linux-x64-kernel6.tgz', sha256(''));
    const { stderr } = await onMachine(
      { uname: unameOfThatArchive },
      [join(checkout, 'scripts/setup/main.sh'), 'worker', '--', 'true'],
      { MEDIASOUP_WORKER_BIN: '', MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL: release.url },
    );
    assert.deepEqual(release.requested, []);
    assert.match(stderr, new RegExp(`scripts/setup/worker.sha256 has no checksum of ${workerArchive}`));
  } finally {
    release.close();
  }
});

test('every pinned checksum of a worker is a SHA-256 and an archive of the mediasoup version in use', () => {
  const lines = readFileSync(join(scripts, 'worker.sha256'), 'utf8').split('\n');
  const wrong = lines.filter(
    (line) =>
      line !== '' &&
      !line.startsWith('#') &&
      !/^[0-9a-f]{64} {2}mediasoup-worker-([\d.]+)-linux-(?:x64|arm64)-kernel\d+\.tgz$/.test(line),
  );
  assert.deepEqual(wrong, []);
  for (const [, version] of lines.join('\n').matchAll(/mediasoup-worker-([\d.]+)-linux/g))
    assert.equal(version, mediasoup.version);
});

const lock = {
  'node_modules/a': { version: '1.0.0' },
  'node_modules/other-platform': { version: '1.0.0', optional: true },
  api: { version: '0.1.0' },
};
const installs: [string, Record<string, unknown> | undefined, number][] = [
  ['only another platform’s package is missing', { 'node_modules/a': { version: '1.0.0' } }, 0],
  ['a package has another version', { 'node_modules/a': { version: '1.0.1' } }, 1],
  ['a package is missing', {}, 1],
  ['nothing was installed', undefined, 1],
];
for (const [what, installed, status] of installs) {
  test(`packages are ${status === 0 ? 'not ' : ''}installed again when ${what}`, async () => {
    const folder = mkdtempSync(join(scratch, 'checkout-'));
    mkdirSync(join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: lock }));
    if (installed) writeFileSync(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: installed }));
    const outcome = await onMachine({}, [process.execPath, join(scripts, 'installed-packages.mjs')], {}, folder);
    assert.equal(outcome.status, status, outcome.stderr);
  });
}
