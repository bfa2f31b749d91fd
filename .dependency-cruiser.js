/**
 * Which package may import which (docs/architecture.md). `make lint` checks it.
 * Tests may also use what is in TEST_PACKAGES.
 */
const LAYERS = {
  api: [],
  service: [],
  kube: ['api', 'service'],
  'link-emulator': ['api', 'service'],
  operator: ['api', 'service', 'kube'],
  control: ['api', 'service', 'kube'],
  'media-node': ['api', 'service'],
  sdk: ['api'],
  console: ['api', 'service', 'sdk'],
  standalone: ['api', 'service', 'kube', 'operator', 'control', 'media-node', 'sdk', 'console'],
};

/** Packages for tests and measurements, and what each may import beside the packages above. */
const TEST_PACKAGES = {
  testkit: ['api', 'service'],
  'kube-conformance': ['api', 'service'],
  'operator-simulation': ['api', 'service', 'kube', 'operator', 'testkit'],
  testbed: [...Object.keys(LAYERS), 'testkit'],
  bench: [...Object.keys(LAYERS), 'testkit', 'testbed'],
  e2e: [...Object.keys(LAYERS), 'testkit', 'testbed', 'kube-conformance', 'operator-simulation'],
};

const PACKAGES = [...Object.keys(LAYERS), ...Object.keys(TEST_PACKAGES)];
const anyOf = (names) => `^(${names.join('|')})/`;
const TEST_FILES = '\\.(test|fixture|bench)\\.ts$|/testing/|/trunk/bench\\.ts$|/codegen/';
/** What the tests of the packages above share. */
const SHARED_BY_TESTS = ['testkit', 'kube-conformance', 'link-emulator'];

const outside = (name, allowed, more = {}) => ({
  name: `${name}-imports-only-what-it-may`,
  comment: `${name} may import ${allowed.join(', ') || 'no other package'}`,
  severity: 'error',
  from: { path: `^${name}/`, ...more },
  to: { path: anyOf(PACKAGES.filter((other) => other !== name && !allowed.includes(other))) },
});

export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Files that import each other in a circle',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...Object.entries(LAYERS).flatMap(([name, allowed]) => [
      outside(name, allowed, { pathNot: TEST_FILES }),
      {
        ...outside(name, [...allowed, ...SHARED_BY_TESTS]),
        name: `tests-of-${name}-import-only-what-they-may`,
        from: { path: `^${name}/.*(${TEST_FILES})` },
      },
    ]),
    ...Object.entries(TEST_PACKAGES).map(([name, allowed]) => outside(name, allowed)),
    {
      name: 'through-exports',
      comment: 'Another package is imported by its name, never by a relative path into it',
      severity: 'error',
      from: { path: '^([^/]+)/' },
      to: { path: anyOf(PACKAGES), pathNot: '^$1/', dependencyTypes: ['local'] },
    },
    {
      name: 'production-imports-no-test-code',
      comment: 'Fixtures and simulators serve tests only',
      severity: 'error',
      from: { path: anyOf(Object.keys(LAYERS)), pathNot: TEST_FILES },
      to: { path: '\\.(test|fixture)\\.ts$|/testing/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '\\.json$'] },
    exclude: { path: ['node_modules/(?!@millrace)', '\\.json$'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
    parser: 'tsc',
  },
};
