// Who may push or pull a stream: tokens signed by control, or nobody needs one where the stream's policy says Public.
export { AccessControl, refusalOf, tokensOf, type Caller, type ShownTokens } from './access-control.ts';
