/** What each node is told: its settings and the streams it carries, compiled from what concerns it and nothing else. */
export { compileStream } from './compile.ts';
export { Programmer, type ProgrammedNode } from './programmer.ts';
