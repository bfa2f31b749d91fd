/** The entry of one installed package in package-lock.json. */
export interface LockedPackage {
  version?: string;
  license?: string;
  integrity?: string;
  link?: boolean;
  dev?: boolean;
  hasInstallScript?: boolean;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

export interface Lockfile {
  packages: Record<string, LockedPackage>;
}

/** Licences that permit use in any product and require at most a notice. */
const PERMISSIVE = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
  'PSF-2.0',
  'WTFPL',
]);

/** Packages with other licences, and why they are acceptable. */
const EXCEPTIONS: Record<string, string> = {
  mediabunny:
    'MPL-2.0, copyleft per file: a dependency of werift, the WebRTC stack of tests and benchmarks; unmodified, in no image',
};

/** The two packages with an install script. npm runs it only for packages that `allowScripts` names. */
const INSTALL_SCRIPTS: Record<string, string> = {
  mediasoup: 'fetches or builds the media worker; scripts/setup/worker.sh does it instead',
  esbuild: 'checks its binary, which comes in a separate package',
};

export interface Audit {
  packages: number;
  licences: Record<string, number>;
  exceptions: string[];
  installScripts: string[];
  problems: string[];
}

/** Checks licences, pins and install scripts of all packages, including development dependencies. */
export function auditLockfile({ packages }: Lockfile): Audit {
  const audit: Audit = { packages: 0, licences: {}, exceptions: [], installScripts: [], problems: [] };
  for (const [path, locked] of Object.entries(packages)) {
    if (!path.includes('node_modules/') || locked.link) continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const { license = 'none', version = 'none' } = locked;
    audit.packages += 1;
    audit.licences[license] = (audit.licences[license] ?? 0) + 1;
    if (!PERMISSIVE.has(license)) {
      const why = EXCEPTIONS[name];
      if (why) audit.exceptions.push(`${name}@${version}: ${why}`);
      else
        audit.problems.push(
          `${name}@${version} has licence ${license}: replace it, or explain in scripts/audit/lockfile.ts why it is acceptable`,
        );
    }
    if (!/^\d+\.\d+\.\d+/.test(version) || !locked.integrity)
      audit.problems.push(`${name}@${version} is not pinned by version and checksum: install it from the registry`);
    if (!locked.hasInstallScript) continue;
    const why = INSTALL_SCRIPTS[name];
    if (why) audit.installScripts.push(`${name}@${version}: ${why}`);
    else audit.problems.push(`${name}@${version} has an install script: review the script and list the package`);
  }
  return audit;
}

/** The direct dependencies of the workspaces. */
export function directDependencies({ packages }: Lockfile): string[] {
  const names = new Set<string>();
  for (const [path, { dependencies, devDependencies, optionalDependencies }] of Object.entries(packages)) {
    if (path.includes('node_modules/')) continue;
    for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }))
      if (!name.startsWith('@millrace/')) names.add(name);
  }
  return [...names].sort();
}
