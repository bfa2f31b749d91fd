/** Compiles and sends each node's snapshot: its settings and the streams that it carries. */
export { compileStream } from './compile.ts';
export { Programmer, type ProgrammedNode } from './programmer.ts';
