// Exits with 0 when node_modules matches package-lock.json (as after a plain `npm install`), so that nothing is installed twice.
// Runs on Node 20.
import { readFileSync } from 'node:fs';

const packagesOf = (path) => JSON.parse(readFileSync(path, 'utf8')).packages ?? {};

function isInstalled() {
  const installed = packagesOf('node_modules/.package-lock.json');
  return Object.entries(packagesOf('package-lock.json')).every(([path, wanted]) => {
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) return true; // this repository's own
    const present = installed[path];
    return present
      ? present.version === wanted.version || present.link === true
      : wanted.optional === true || wanted.peer === true;
  });
}

try {
  process.exitCode = isInstalled() ? 0 : 1;
} catch {
  process.exitCode = 1;
}
