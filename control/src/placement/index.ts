/** Places clients: runs the scheduler on the current fleet, with the StreamRoute's regions and the client's region. */
export { Placer } from './placer.ts';
