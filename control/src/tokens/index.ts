/** Access: media tokens that control signs, and the keys with which apps request them. */
export { SIGNING_KEYS_FIELD, SigningKeys, type SigningKeySet } from './signing-keys.ts';
export { AppKeys, coversApp, coversStream, type AppKey } from './app-keys.ts';
