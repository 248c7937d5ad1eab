/** The least that a proxy on `node:http` and undici can do: what a router costs more than this is its own. */
import { createServer } from 'node:http';
import { Pool } from 'undici';

const pool = new Pool(process.env.UPSTREAM, { connections: 128 });
const nothing = Buffer.alloc(0);

/** undici's raw handler: nothing is parsed that it does not have to parse itself. */
class Relay {
  constructor(response) {
    this.response = response;
  }
  onConnect(abort) {
    // Or a client that leaves in the middle would keep the connection behind it for good.
    this.response.on('close', abort);
  }
  onHeaders(status, headers, resume) {
    const list = [];
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index].latin1Slice();
      if (name.length === 10 && name.toLowerCase() === 'connection') continue;
      list.push(name, headers[index + 1].latin1Slice());
    }
    this.response.on('drain', resume);
    this.response.writeHead(status, list);
    return true;
  }
  onData(chunk) {
    return this.response.write(chunk);
  }
  onComplete() {
    this.response.end();
  }
  onError() {
    this.response.destroy();
  }
}

function forward({ method, url, rawHeaders }, response, body) {
  const headers = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name.length === 10 && name.toLowerCase() === 'connection') continue;
    headers.push(name, rawHeaders[index + 1]);
  }
  pool.dispatch({ method, path: url, headers, body }, new Relay(response));
}

const server = createServer((request, response) => {
  response.sendDate = false;
  if (request.method === 'GET') return forward(request, response, null);
  let body = nothing;
  request.on('data', (chunk) => {
    body = body.length === 0 ? chunk : Buffer.concat([body, chunk]);
  });
  request.on('end', () => forward(request, response, body));
});
server.keepAliveTimeout = 65_000;
server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('listening'));
