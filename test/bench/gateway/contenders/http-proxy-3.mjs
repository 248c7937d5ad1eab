import { Agent, createServer } from 'node:http';
import { createProxyServer } from 'http-proxy-3';

// Without an agent of its own it would close each connection after one request.
const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const proxy = createProxyServer({ target: process.env.UPSTREAM, agent });
proxy.on('error', (_error, _request, response) => response.destroy());
createServer((request, response) => proxy.web(request, response)).listen(
  Number(process.env.PORT),
  '127.0.0.1',
  () => process.send('listening'),
);
