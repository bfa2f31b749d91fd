/** What package-lock.json says of one installed package. */
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

/** Licences that allow use in any product with no more than a notice. */
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

/** Others that are known and why they may stay. */
const EXCEPTIONS: Record<string, string> = {
  mediabunny: 'MPL-2.0, copyleft by file: comes with werift, the WebRTC stack of tests and benches; unchanged, in no image',
};

/** The two packages with a script that runs at installation, which npm does not run here unless `allowScripts` names them. */
const INSTALL_SCRIPTS: Record<string, string> = {
  mediasoup: 'fetches or builds the media worker; scripts/setup/worker.sh does it instead',
  esbuild: 'checks its own binary, which a package of its own brings',
};

export interface Audit {
  packages: number;
  licences: Record<string, number>;
  exceptions: string[];
  installScripts: string[];
  problems: string[];
}

/** Judges licences, pins and install scripts of all packages, those of development too. */
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
          `${name}@${version} has licence ${license}: replace it, or say in scripts/audit/lockfile.ts why it may stay`,
        );
    }
    if (!/^\d+\.\d+\.\d+/.test(version) || !locked.integrity)
      audit.problems.push(`${name}@${version} is not pinned by version and checksum: install it from the registry`);
    if (!locked.hasInstallScript) continue;
    const why = INSTALL_SCRIPTS[name];
    if (why) audit.installScripts.push(`${name}@${version}: ${why}`);
    else audit.problems.push(`${name}@${version} wants to run a script when it is installed: see what it does and list it`);
  }
  return audit;
}

/** What the workspaces ask for themselves. */
export function directDependencies({ packages }: Lockfile): string[] {
  const names = new Set<string>();
  for (const [path, { dependencies, devDependencies, optionalDependencies }] of Object.entries(packages)) {
    if (path.includes('node_modules/')) continue;
    for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }))
      if (!name.startsWith('@millrace/')) names.add(name);
  }
  return [...names].sort();
}
