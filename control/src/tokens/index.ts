/** Who may do what: media tokens that control signs, and the keys by which apps may ask for them. */
export { SigningKeys } from './signing-keys.ts';
export { AppKeys } from './app-keys.ts';
