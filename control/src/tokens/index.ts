/** Who may do what: media tokens that control signs, and the keys by which apps may ask for them. */
export { SIGNING_KEYS_FIELD, SigningKeys, type SigningKeySet } from './signing-keys.ts';
export { AppKeys } from './app-keys.ts';
