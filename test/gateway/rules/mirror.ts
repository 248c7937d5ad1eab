import { rawUpstream } from '../support.ts';
import { type ReadRequest, readAll } from './readings.ts';

export interface Mirror {
  readonly url: string;
  /** What arrived, byte for byte, in order. */
  readonly requests: ReadRequest[];
  /** The values of a field in the request that arrived last. */
  last(name: string): string[];
}

/** A strict upstream that remembers what it is sent, and answers `ok`, or whatever bytes `answer` gives. */
export async function mirror(answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'): Promise<Mirror> {
  const requests: ReadRequest[] = [];
  const { url } = await rawUpstream((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const { requests: read, end } = readAll(text, 'strict');
      text = text.slice(end);
      for (const request of read) {
        requests.push(request);
        socket.write(answer, 'latin1');
      }
    });
  });
  return {
    url,
    requests,
    last: (name) =>
      (requests.at(-1)?.lines ?? []).flatMap((line) => {
        const [field = '', ...value] = line.split(': ');
        return field.toLowerCase() === name.toLowerCase() ? [value.join(': ')] : [];
      }),
  };
}
