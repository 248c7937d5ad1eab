/** Exit codes of the command, by the custom of Unix tools. */
export const exitCodes = {
  /** It did what was asked. */
  success: 0,
  /** It could not. */
  failure: 1,
  /** It was not asked properly. */
  usage: 2,
} as const;

/** What a command ends with. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
