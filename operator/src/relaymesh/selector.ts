import type { RelayMeshMembersSelector } from '@millrace/api';

/** Whether a label selector admits these labels; an absent or empty one admits all (metav1.LabelSelector). */
export function selects(selector: RelayMeshMembersSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  const matches = Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return matches && (selector?.matchExpressions ?? []).every((requirement) => meets(requirement, labels));
}

function meets(
  { key, operator, values = [] }: NonNullable<RelayMeshMembersSelector['matchExpressions']>[number],
  labels: Readonly<Record<string, string>>,
): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
