import { spawn } from 'node:child_process';
import { findBinary, printedVersion } from './find-binary.ts';

/** What the harness must know of one kind of program that runs to its end, such as a client. */
export interface ProgramKind {
  /** As it stands in reports, such as `curl`. */
  readonly name: string;
  readonly binary: string;
  /** Folders to look in before the PATH. */
  readonly folders?: readonly string[];
  /** How to install it. */
  readonly install: string;
  /** The version of this program. */
  version(binary: string): string;
}

/** What a program said, and how it ended. */
export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one kind of program. */
export class Programs {
  readonly #kind: ProgramKind;

  constructor(kind: ProgramKind) {
    this.#kind = kind;
  }

  /** Run it to its end; its output is read as latin1, a character a byte. */
  run(values: readonly string[], input: string | Buffer = ''): Promise<Run> {
    const binary = findBinary(this.#kind, this.#kind.binary);
    if (binary === undefined) throw new Error(`${this.#kind.name} is not installed: ${this.#kind.install}`);
    const child = spawn(binary, [...values], { stdio: 'pipe' });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      said.stdout += chunk.toString('latin1');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said.stderr += chunk.toString('latin1');
    });
    // A client that had its answer before it sent everything closes this end.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, ...said }));
    });
  }
}

/** The client that people try things out with. */
export const curl: ProgramKind = {
  name: 'curl',
  binary: 'curl',
  install: 'apt-get install curl',
  version: (binary) => printedVersion(binary, '--version'),
};

/** A client that makes many requests over HTTP/2 and HTTP/1.1. */
export const h2load: ProgramKind = {
  name: 'h2load',
  binary: 'h2load',
  install: 'apt-get install nghttp2-client',
  version: (binary) => printedVersion(binary, '--version'),
};

/** A client that makes many requests over HTTP/1.1. */
export const wrk: ProgramKind = {
  name: 'wrk',
  binary: 'wrk',
  install: 'apt-get install wrk',
  version: (binary) => printedVersion(binary, '-v'),
};
