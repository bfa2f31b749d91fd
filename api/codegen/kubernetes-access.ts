import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const;
export type Verb = (typeof VERBS)[number];
export const ACCOUNTS = ['operator', 'control'] as const;
export type Account = (typeof ACCOUNTS)[number];

/** What some of the accounts may do with a resource. */
export interface KubernetesRight {
  /** Plural, with its group behind a dot, and with a subresource behind a slash. */
  resource: string;
  group: string;
  /** Absent: any object. */
  name?: string;
  /** Of the whole cluster, not of the fleet's namespace. */
  isClusterWide: boolean;
  verbs: Verb[];
  accounts: Account[];
}

interface Role {
  kind: string;
  metadata: { name: string };
  rules?: { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }[];
}

/** The rights in deploy/rbac: verbs of a resource that the same accounts have stand together. Throws on a wildcard. */
export function kubernetesRights(folder: string): KubernetesRight[] {
  const cells = new Map<string, KubernetesRight>();
  for (const role of readdirSync(folder)
    .sort()
    .flatMap((file) => rolesOf(join(folder, file)))) {
    const account = ACCOUNTS.find((each) => role.metadata.name === `millrace-${each}`);
    if (!account) throw new Error(`${role.kind} ${role.metadata.name} is of no known account`);
    for (const { apiGroups, resources, resourceNames = [undefined], verbs } of role.rules ?? [])
      for (const group of apiGroups)
        for (const resource of resources)
          for (const name of resourceNames)
            for (const verb of verbs) {
              if (!VERBS.includes(verb as Verb) || resource.includes('*') || group === '*')
                throw new Error(`${role.kind} ${role.metadata.name}: ${resource} ${verb} is no single right`);
              const key = [group, resource, name ?? '', verb].join(' ');
              const known = cells.get(key) ?? {
                resource,
                group,
                ...(name === undefined ? {} : { name }),
                isClusterWide: role.kind === 'ClusterRole',
                verbs: [verb as Verb],
                accounts: [],
              };
              cells.set(key, { ...known, accounts: [...known.accounts, account] });
            }
  }
  return together([...cells.values()]);
}

function together(cells: readonly KubernetesRight[]): KubernetesRight[] {
  const rows = new Map<string, KubernetesRight>();
  for (const cell of cells) {
    const key = [cell.group, cell.resource, cell.name ?? '', cell.accounts.join()].join(' ');
    const verbs = [...(rows.get(key)?.verbs ?? []), ...cell.verbs];
    rows.set(key, { ...cell, verbs: VERBS.filter((verb) => verbs.includes(verb)) });
  }
  const order = (row: KubernetesRight): string => [row.resource, row.name ?? '', row.accounts.join()].join(' ');
  return [...rows.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function rolesOf(file: string): Role[] {
  const documents = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Role);
  return documents.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole');
}
