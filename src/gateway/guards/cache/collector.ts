/** Bodies on their way past a cache: copied, or left out. */
import { Transform } from 'node:stream';
import type { BodyWatcher } from '../../exchange/answer-filter.ts';
import type { Flight } from './flights.ts';

/** Takes a copy of a body that goes by. */
export class Collector implements BodyWatcher {
  readonly #limit: number;
  readonly #flight: Flight;
  readonly #done: (body: Buffer) => void;
  #chunks: Uint8Array[] = [];
  #received = 0;

  constructor(limit: number, flight: Flight, done: (body: Buffer) => void) {
    this.#limit = limit;
    this.#flight = flight;
    this.#done = done;
  }

  piece(chunk: Uint8Array): void {
    this.#received += chunk.length;
    if (this.#received <= this.#limit) {
      this.#chunks.push(chunk);
      return;
    }
    this.#chunks = [];
    this.#flight.land('not storable');
  }

  over(whole: boolean): void {
    if (!whole) this.#flight.land('broken');
    else if (this.#received <= this.#limit) this.#done(Buffer.concat(this.#chunks));
  }
}

/** Lets nothing through but what is given instead. */
export function swallowing(watcher: BodyWatcher | undefined, instead?: Buffer): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      watcher?.piece(chunk);
      done();
    },
    flush(done) {
      watcher?.over(true);
      done(null, instead);
    },
  });
}
