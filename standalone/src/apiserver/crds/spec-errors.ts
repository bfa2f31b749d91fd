import type { CrdManifest, CrdVersion, FieldError } from '@millrace/api/validation';
import { forbidden, invalid, notSupported, required } from '@millrace/api/validation';
import type { KubeObject } from '../object.ts';
import { structuralErrors } from './structural-schema.ts';

type Spec = CrdManifest['spec'];
const dnsLabel = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
const dnsLabelText =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const columnTypes = ['boolean', 'date', 'integer', 'number', 'string'];

/** Errors in a CRD's names, scope and versions ("CustomResourceDefinition": specify multiple versions, subresources). */
export function specErrors(spec: Spec): FieldError[] {
  const errors: FieldError[] = [];
  const { names, versions, scope } = spec;
  const scopes = ['Cluster', 'Namespaced'];
  if (!scopes.includes(scope)) errors.push(notSupported('spec.scope', scope, scopes));
  if (spec['preserveUnknownFields'] === true) {
    const instead = 'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead';
    errors.push(invalid('spec.preserveUnknownFields', true, instead));
  }
  const labels: [string, string][] = [
    ...(names.shortNames ?? []).map((name, index): [string, string] => [`spec.names.shortNames[${index}]`, name]),
    ...versions.map(({ name }, index): [string, string] => [`spec.versions[${index}].name`, name]),
  ];
  for (const [field, label] of labels) if (!dnsLabel.test(label)) errors.push(invalid(field, label, dnsLabelText));
  return [
    ...errors,
    ...versions.flatMap(({ subresources }) => scaleErrors(subresources?.scale)),
    ...versions.flatMap(columnErrors),
  ];
}

function scaleErrors(scale: NonNullable<CrdVersion['subresources']>['scale']): FieldError[] {
  if (!scale) return [];
  const at = 'spec.subresources.scale';
  const below = (field: 'specReplicasPath' | 'statusReplicasPath', root: string): FieldError[] => {
    const path: string | undefined = scale[field];
    if (!path) return [required(`${at}.${field}`)];
    return path.startsWith(`${root}.`) ? [] : [invalid(`${at}.${field}`, path, `should be a json path under ${root}`)];
  };
  return [...below('specReplicasPath', '.spec'), ...below('statusReplicasPath', '.status')];
}

function columnErrors({ additionalPrinterColumns = [] }: CrdVersion): FieldError[] {
  return additionalPrinterColumns.flatMap(({ type }, index) =>
    columnTypes.includes(type)
      ? []
      : [invalid(`spec.additionalPrinterColumns[${index}].type`, type, `must be one of ${columnTypes.join(',')}`)],
  );
}

/** A version in which objects may still be stored must stay. */
export function storedVersionErrors({ versions }: Spec, old?: KubeObject): FieldError[] {
  const stored = Array.isArray(old?.status?.['storedVersions']) ? old.status['storedVersions'] : [];
  return stored.flatMap((name, index) =>
    versions.some((version) => version.name === name)
      ? []
      : [
          invalid(
            `status.storedVersions[${index}]`,
            name,
            `missing from spec.versions; ${JSON.stringify(name)} was previously a storage version`,
          ),
        ],
  );
}

/** Errors in the schema of a version: not structural, unsupported features, or defaults that violate it. */
export function schemaErrors({ schema }: CrdVersion): FieldError[] {
  const at = 'spec.validation.openAPIV3Schema';
  const declared = schema?.openAPIV3Schema;
  if (!declared) return [];
  const errors = structuralErrors(declared, at);
  if (declared.type !== 'object') errors.push(invalid(`${at}.type`, declared.type, 'must be object at the root'));
  const metadata = Object.keys(declared.properties?.['metadata']?.properties ?? {});
  if (metadata.some((field) => field !== 'name' && field !== 'generateName')) {
    const why = 'must not specify anything other than name and generateName, but metadata is implicitly specified';
    errors.push(forbidden(`${at}.properties[metadata]`, why));
  }
  return errors;
}
