import js from '@eslint/js';
import regexp from 'eslint-plugin-regexp';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** A file or folder is named after a concept of the field; these names say nothing of what is inside. */
const tellingNames = {
  create(context) {
    const vague = context.filename.match(/[/\\](utils?|helpers?|common|misc|manager|shared|stuff)(\.[^/\\]*|[/\\].*)$/);
    return vague
      ? { Program: (node) => context.report({ node, message: `'${vague[1]}' says nothing: name it after what it holds` }) }
      : {};
  },
};

export default defineConfig(
  { ignores: ['**/node_modules/', '**/dist/', '.millrace/'] },
  js.configs.recommended,
  {
    files: ['**/*.{ts,js}'],
    ignores: ['**/*.test.ts', '{e2e,testkit,testbed}/**'],
    plugins: { regexp },
    // A stranger's text must not cost more than linear time.
    rules: { 'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }], 'regexp/no-super-linear-move': 'error' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { millrace: { rules: { 'telling-names': tellingNames } } },
    rules: {
      'millrace/telling-names': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      // node:test's own functions return promises that its runner awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'describe', 'before', 'after', 'beforeEach', 'afterEach'] },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
      // An unused parameter documents a signature; tsc reports the rest.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      // Interfaces ask for promises where an implementation has nothing to wait for.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // Tests read JSON answers of many shapes; what is not there fails the assertion.
    files: ['**/*.test.ts', '{e2e,kube-conformance,testbed,testkit}/**/*.ts', '**/testing/**/*.ts'],
    rules: Object.fromEntries(
      ['assignment', 'argument', 'call', 'member-access', 'return'].map((what) => [
        `@typescript-eslint/no-unsafe-${what}`,
        'off',
      ]),
    ),
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', fetch: 'readonly', setTimeout: 'readonly' },
    },
  },
);
