// Who may push or pull a stream: tokens signed by control, or nobody needs one where the stream's policy says Public.
export { AccessControl, bearerOf, unauthorized, type Caller } from './access-control.ts';
