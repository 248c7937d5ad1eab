/** An ordinary app: it knows nothing of holdfast. It listens on PORT and calls another service by its name. */
import { createServer, get } from 'node:http';

const outbound = process.env.HOLDFAST_OUTBOUND;

/** GET a service by its name: the sidecar finds an instance. */
function ask(service, path) {
  return new Promise((resolve, reject) => {
    get(`${outbound}${path}`, { headers: { host: service } }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode, text });
    }).on('error', reject);
  });
}

const server = createServer(async (request, response) => {
  if (request.url === '/healthz') return response.end('ok');
  const { status, text } = await ask('prices', '/kelp');
  response.statusCode = status;
  response.end(`kelp costs ${text} (process ${process.pid}, request ${request.headers['x-request-id']})\n`);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
process.once('SIGTERM', () => server.close(() => process.exit(0)).closeIdleConnections());
