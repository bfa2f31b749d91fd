import { stringify } from 'yaml';
import { meaningOf, openApiDocument, type Answer, type Operation, type Service } from '../src/operations/index.ts';

const NOTE = 'Generated from api/src/operations by `npm run generate`. Change it there.';

/** A service's OpenAPI document as YAML. */
export function openApiYaml(service: Service): string {
  return `# ${NOTE}\n${stringify(openApiDocument(service), { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

const INTRODUCTION = `# HTTP APIs

Each server describes itself in OpenAPI 3.1: [control](openapi/control.yaml), [media node](openapi/media-node.yaml), [console](openapi/console.yaml),
[operations port](openapi/ops.yaml); control and media nodes serve theirs at \`/openapi.json\`. Who may call what is one table in [security](../security.md).
Errors are problem details (RFC 9457): \`application/problem+json\` with \`title\`, \`status\` and a \`detail\` that names the field and the remedy.

The examples are shell lines that work, with these variables:

| variable | holds | on a network of \`make up\` |
| --- | --- | --- |
| \`CONTROL\` | control's base URL | \`http://127.0.0.1:7080\` |
| \`APP_KEY\` | a key out of Secret \`millrace-app-keys\` | \`kubectl get secret millrace-app-keys -o jsonpath='{.data.console}' \\| base64 -d\` |
| \`CONSOLE\` | the console's base URL | \`http://127.0.0.1:7000\` |
| \`NODE\` | a media node's base URL: \`signaling\` in a placement | |
| \`OPS\` | the base URL of an operations port: \`status.endpoints.opsUrl\` of a MediaNode | |
| \`TOKEN\` | the token in a placement, of the right kind | |
| \`SESSION_URL\` | a WHIP or WHEP session: its Location, resolved against the URL that was posted to | |
| \`SESSION\` | \`session\` in the answer of the short forms or of plain RTP | |

\`offer.sdp\` is the offer of a WebRTC client.
`;

/** One page for people, with an example for each operation that has one. */
export function httpReference(services: readonly Service[]): string {
  return [`<!-- ${NOTE} -->\n`, INTRODUCTION, ...services.map(serviceSection)].join('\n');
}

function serviceSection(service: Service): string {
  const tags = [...new Set(service.operations.map(({ tag }) => tag))];
  const always = Object.entries(service.always).map(([status, answer]) => `| ${status} | ${answerText(answer)} |`);
  return [
    `## ${service.title}\n`,
    `${service.description}\n`,
    'Any operation may answer:\n',
    `| status | |\n| --- | --- |\n${always.join('\n')}\n`,
    ...tags.flatMap((tag) => [
      `### ${tag}\n`,
      ...service.operations.filter((operation) => operation.tag === tag).map(operationSection),
    ]),
  ].join('\n');
}

function operationSection(operation: Operation): string {
  const { method, path, summary, detail, access, body, query, headers, example, answers } = operation;
  const inputs = [
    ...Object.entries(query?.shape ?? {}).map(([name, type]) => [
      `\`?${name}=\``,
      (type as { description?: string }).description ?? '',
    ]),
    ...Object.entries(headers ?? {}).map(([name, meaning]) => [`\`${name}\``, meaning]),
    ...(body
      ? [
          [
            'body',
            Object.keys(body)
              .map((type) => `\`${type}\``)
              .join(' or '),
          ],
        ]
      : []),
  ];
  return [
    `#### ${method} ${path.replace(/[{}]/g, '\\$&')}\n`,
    `${[`${summary}.`, detail].filter(Boolean).join(' ')} _Who may:_ ${meaningOf(access)}.\n`,
    ...(inputs.length > 0 ? [`| request | |\n| --- | --- |\n${inputs.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`] : []),
    `| answer | |\n| --- | --- |\n${Object.entries(answers)
      .map(([status, answer]) => `| ${status} | ${answerText(answer)} |`)
      .join('\n')}\n`,
    ...(example ? [`\`\`\`sh\n${example}\n\`\`\`\n`] : []),
  ].join('\n');
}

function answerText({ description, content = {}, headers = {}, events = {} }: Answer): string {
  const types = Object.keys(content).filter((type) => type !== 'application/problem+json');
  return [
    `${description}.`,
    types.length > 0 ? `${types.map((type) => `\`${type}\``).join(', ')}.` : '',
    Object.keys(headers).length > 0
      ? `Headers: ${Object.keys(headers)
          .map((name) => `\`${name}\``)
          .join(', ')}.`
      : '',
    Object.keys(events).length > 0
      ? `Events: ${Object.keys(events)
          .map((name) => `\`${name}\``)
          .join(', ')}.`
      : '',
  ]
    .filter(Boolean)
    .join(' ');
}
