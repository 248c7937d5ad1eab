/**
 * An ordinary app for the sidecar's tests; knows nothing of the library. Tells what happens to it in the file EVENTS, a
 * line each.
 */
import { appendFileSync } from 'node:fs';
import { createServer, request } from 'node:http';

const tell = (event) =>
  appendFileSync(process.env.EVENTS, `${JSON.stringify({ pid: process.pid, ...event })}\n`);

if (process.env.CRASH_AT_START) process.exit(3);

/** Calls another service through the sidecar; resolves to status and body, or to the error's code. */
function call(service, path) {
  return new Promise((resolve) => {
    const outgoing = request(
      `${process.env.HOLDFAST_OUTBOUND}${path}`,
      { headers: { host: service } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
      },
    );
    outgoing.on('error', (error) => resolve({ error: error.code }));
    outgoing.end();
  });
}

// Before anything else: the outbound listener must be there before the app is.
if (process.env.CALL_AT_START) {
  tell({ event: 'called-at-start', ...(await call(process.env.CALL_AT_START, '/')) });
}

let release = () => {};
const server = createServer(async (incoming, response) => {
  const { url, headers } = incoming;
  if (url === '/healthz') response.end('ok');
  else if (url === '/slow') {
    tell({ event: 'slow-begun' });
    await new Promise((resolve) => {
      release = resolve;
      setTimeout(resolve, Number(process.env.SLOW ?? 500));
    });
    response.end('slow but whole');
    tell({ event: 'slow-ended' });
  } else if (url === '/release') {
    release();
    response.end();
  } else if (url.startsWith('/call/')) {
    const { status, text, error } = await call(url.split('/')[2], '/');
    response.statusCode = status ?? 502;
    response.end(text ?? error);
  } else {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ pid: process.pid, name: process.env.NAME, url, headers }));
  }
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => tell({ event: 'listening' }));

process.on('SIGTERM', async () => {
  tell({ event: 'sigterm' });
  if (process.env.IGNORE_SIGTERM) return;
  // Until its very end an app may call others.
  if (process.env.CALL_AT_END)
    tell({ event: 'called-at-end', ...(await call(process.env.CALL_AT_END, '/')) });
  server.close(() => {
    tell({ event: 'ended' });
    process.exit(0);
  });
  server.closeIdleConnections();
});
