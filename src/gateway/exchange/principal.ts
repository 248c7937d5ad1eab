/** Who makes a request, as a guard established it. */
export interface Principal {
  /** Who it is, such as a token's `sub`. */
  readonly subject: string;
  /** All that was established, such as a token's claims. */
  readonly claims: Readonly<Record<string, unknown>>;
}
