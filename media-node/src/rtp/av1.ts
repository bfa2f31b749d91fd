import { DISCARDABLE, FRAME_END, FRAME_START, INDEPENDENT, KEYFRAME, withLayers, type FrameMarks } from '@millrace/api/trunk';
import { BitReader } from './bit-reader.ts';
import type { RtpView } from './rtp-packet.ts';

export const DEPENDENCY_DESCRIPTOR_URI =
  'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

const MAX_TEMPLATES = 64;
const NEXT_TEMPORAL = 1;
const NEXT_SPATIAL = 2;
const NO_MORE = 3;
const NOT_PRESENT = 0;
const DISCARD = 1;

interface Template {
  spatial: number;
  temporal: number;
  discardable: boolean;
}

interface TemplateStructure {
  idOffset: number;
  templates: Template[];
}

/** AV1 RTP payload format, appendix A: the dependency descriptor. It refers to a structure that came with the last keyframe. */
export class DependencyDescriptorReader {
  #structure: TemplateStructure | undefined;

  /** Marks from the extension element [start, end); undefined when it is cut or refers to a structure not seen. */
  marks(buffer: Buffer, start: number, end: number): FrameMarks | undefined {
    if (end - start < 3) return undefined;
    const bits = new BitReader(buffer, start, end);
    const startOfFrame = bits.read(1) === 1;
    const endOfFrame = bits.read(1) === 1;
    const templateId = bits.read(6);
    bits.read(16); // frame_number
    const structure = end - start > 3 ? readStructure(bits) : undefined;
    if (structure === 'cut') return undefined;
    if (structure) this.#structure = structure;
    const template = this.#template(templateId);
    if (!template) return undefined;
    let marks = (startOfFrame ? FRAME_START : 0) | (endOfFrame ? FRAME_END : 0);
    if (template.discardable) marks |= DISCARDABLE;
    // A structure opens a coded video sequence: it is sent with keyframes and with nothing else.
    if (structure) marks |= startOfFrame ? KEYFRAME | INDEPENDENT : INDEPENDENT;
    return withLayers(marks, template.spatial, template.temporal);
  }

  #template(id: number): Template | undefined {
    if (!this.#structure) return undefined;
    return this.#structure.templates[(id + MAX_TEMPLATES - this.#structure.idOffset) % MAX_TEMPLATES];
  }
}

/** A.8.2 extended_descriptor_fields and the head of template_dependency_structure. */
function readStructure(bits: BitReader): TemplateStructure | 'cut' | undefined {
  const present = bits.read(1) === 1;
  bits.read(4); // active_decode_targets_present, custom_dtis, custom_fdiffs, custom_chains
  if (!present) return undefined;
  const idOffset = bits.read(6);
  const decodeTargets = bits.read(5) + 1;
  const templates = readTemplateLayers(bits);
  for (const template of templates) {
    let discardable = true;
    for (let i = 0; i < decodeTargets; i++) {
      const indication = bits.read(2);
      if (indication !== NOT_PRESENT && indication !== DISCARD) discardable = false;
    }
    template.discardable = discardable;
  }
  return bits.overrun ? 'cut' : { idOffset, templates };
}

function readTemplateLayers(bits: BitReader): Template[] {
  const templates: Template[] = [];
  let spatial = 0;
  let temporal = 0;
  for (;;) {
    templates.push({ spatial, temporal, discardable: false });
    const next = bits.read(2);
    if (next === NO_MORE || templates.length === MAX_TEMPLATES || bits.overrun) return templates;
    if (next === NEXT_TEMPORAL) temporal += 1;
    if (next === NEXT_SPATIAL) {
      temporal = 0;
      spatial += 1;
    }
  }
}

/** Without the extension: the aggregation header (section 4.4). N opens a coded video sequence; Z continues an OBU. */
export function av1PayloadMarks(view: RtpView): FrameMarks {
  const marks = view.marker ? FRAME_END : 0;
  if (view.payloadStart >= view.payloadEnd) return marks;
  const header = view.buffer[view.payloadStart]!;
  const opensSequence = (header & 0x08) !== 0 && (header & 0x80) === 0;
  return opensSequence ? marks | KEYFRAME | INDEPENDENT : marks;
}
