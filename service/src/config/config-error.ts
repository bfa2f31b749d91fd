/** Every configuration error found, one a line: where the value came from, what is wrong. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly errors: readonly string[];

  constructor(errors: readonly string[]) {
    super(`invalid configuration:\n${errors.map((e) => `  ${e}`).join('\n')}\n(--help lists every setting)`);
    this.errors = errors;
  }
}

/** --help was among the arguments; the message is the text to print. */
export class HelpRequested extends Error {
  override readonly name = 'HelpRequested';
}
