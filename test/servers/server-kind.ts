/**
 * What the harness must know of one kind of server. Each module beside this one (`redis.ts`, `postgres.ts` …) exports
 * one of these and hardly anything else: who has read one has read them all.
 */
export interface ServerKind {
  /** As it stands in reports, such as `redis`. */
  readonly name: string;
  /** The program whose absence means that the server is not installed. */
  readonly binary: string;
  /** Folders to look in before the PATH. */
  readonly folders?: readonly string[];
  /** How to install it. */
  readonly install: string;
  /** The environment variable by which a person names one that runs already. Default: none, its configuration is ours. */
  readonly environment?: string;
  /** The scheme of its URL; assumed when the variable above holds only `host:port`. */
  readonly scheme: string;
  /** Started by root, it runs as the first of these users that exists. Default: as whoever started it. */
  readonly users?: readonly string[];
  /** How many free ports it needs. */
  readonly ports: number;
  /** The signal (without `SIG`) that makes it stop cleanly and soon. Default `TERM`. */
  readonly stopSignal?: 'TERM' | 'INT' | 'KILL';
  /** The signal by which it dies at once, without finishing anything. Default `SIGKILL`. */
  readonly crashSignal?: 'SIGKILL' | 'SIGQUIT';
  /** The version of this program. */
  version(binary: string): string;
  /** Write what must be there before the first start: configuration, an empty database. */
  prepare?(site: Site): Promise<void>;
  /** The processes to start, in order. */
  commands(site: Site): readonly Command[];
  /** Whether it answers. Throwing means "not yet". */
  ready(site: Site): Promise<boolean>;
  /** How clients reach it. */
  url(site: Site): string;
}

/** One process to start. */
export interface Command {
  /** Name of a program, found where the kind's binary is found. */
  readonly program: string;
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Where one server lives: a temporary directory and ports that are its own. */
export interface Site {
  /** Owned by the user whom the server runs as. Deleted at the end. */
  readonly directory: string;
  /** As many free loopback ports as the kind asked for. */
  readonly ports: readonly number[];
  /** Run one of the server's programs to its end, as the server's user; its standard output. */
  execute(program: string, ...values: readonly string[]): Promise<string>;
}
