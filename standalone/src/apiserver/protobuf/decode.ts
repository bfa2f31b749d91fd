import type { Json, JsonObject } from '@millrace/api/validation';
import { kubeTime } from '../object.ts';
import { badRequest, unsupportedMedia } from '../status.ts';
import type { Field, Message } from './messages.ts';
import { messages } from './messages.ts';

export const protobufMediaType = 'application/vnd.kubernetes.protobuf';
const magic = Buffer.from('k8s\0');

/**
 * Reads an object in the protobuf form of the Kubernetes API ("API concepts": protobuf encoding): `k8s\0`, then a runtime.Unknown with kind
 * and content. Throws 415 for a kind that is only read as JSON, 400 for anything else.
 */
export function decodeProtobuf(bytes: Buffer): JsonObject {
  if (!bytes.subarray(0, magic.length).equals(magic))
    throw badRequest('the body is not in the protobuf form of the Kubernetes API');
  const envelope = new Map([...wireFields(bytes.subarray(magic.length))].map(({ number, value }) => [number, value]));
  const [typeMeta, raw] = [envelope.get(1), envelope.get(2) ?? Buffer.alloc(0)];
  if (!Buffer.isBuffer(typeMeta) || !Buffer.isBuffer(raw)) throw malformed();
  const { apiVersion, kind } = decodeMessage(typeMeta, {
    1: { name: 'apiVersion', type: 'string' },
    2: { name: 'kind', type: 'string' },
  });
  const message = typeof kind === 'string' && Object.hasOwn(messages, kind) ? messages[kind] : undefined;
  if (!message || apiVersion === undefined || kind === undefined)
    throw unsupportedMedia(['application/json', 'application/yaml']);
  return { apiVersion, kind, ...decodeMessage(raw, message) };
}

function decodeMessage(bytes: Buffer, message: Message): JsonObject {
  const object: JsonObject = {};
  for (const { number, value } of wireFields(bytes)) {
    const field = message[number];
    if (!field) continue;
    if (field.many === 'map') {
      const [key, entry] = mapEntry(value, field);
      object[field.name] = { ...(object[field.name] as JsonObject | undefined), [key]: entry };
      continue;
    }
    const decoded = decodeValue(value, field.type);
    if (decoded === undefined) continue;
    object[field.name] = field.many === 'list' ? [...((object[field.name] as Json[] | undefined) ?? []), decoded] : decoded;
  }
  return object;
}

/** Go encodes empty strings and zero times; both count as absent. */
function decodeValue(value: Buffer | bigint, type: Field['type']): Json | undefined {
  if (type === 'int') return typeof value === 'bigint' ? Number(BigInt.asIntN(64, value)) : bad();
  if (type === 'bool') return typeof value === 'bigint' ? value !== 0n : bad();
  if (typeof value === 'bigint') throw malformed();
  if (type === 'string') return value.toString('utf8') || undefined;
  if (type === 'bytes') return value.toString('base64');
  if (type === 'time') {
    const { seconds = 0 } = decodeMessage(value, { 1: { name: 'seconds', type: 'int' } });
    return seconds === 0 ? undefined : kubeTime(Number(seconds) * 1000);
  }
  if (type === 'intOrString') {
    const known: Message = {
      1: { name: 'type', type: 'int' },
      2: { name: 'int', type: 'int' },
      3: { name: 'text', type: 'string' },
    };
    const { type: isText, int = 0, text = '' } = decodeMessage(value, known);
    return isText === 1 ? text : int;
  }
  return decodeMessage(value, type);
}

function mapEntry(value: Buffer | bigint, field: Field): [string, Json] {
  if (typeof value === 'bigint') throw malformed();
  const entry = new Map([...wireFields(value)].map((each) => [each.number, each.value]));
  const [key = Buffer.alloc(0), content = Buffer.alloc(0)] = [entry.get(1), entry.get(2)];
  if (!Buffer.isBuffer(key) || !Buffer.isBuffer(content)) throw malformed();
  return [key.toString('utf8'), content.toString(field.type === 'bytes' ? 'base64' : 'utf8')];
}

const malformed = () => badRequest('the protobuf body cannot be read');
function bad(): never {
  throw malformed();
}

/** The fields of a message on the wire (protobuf.dev, "Encoding"): varints and length-delimited values; fixed-size ones do not occur. */
function* wireFields(bytes: Buffer): Generator<{ number: number; value: Buffer | bigint }> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed();
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (wireType === 0) yield { number, value: varint() };
    else if (wireType === 2) {
      const length = varint();
      if (length > BigInt(bytes.length - at)) throw malformed();
      yield { number, value: bytes.subarray(at, (at += Number(length))) };
    } else throw malformed();
  }
}
