/** Clients by HTTP/2 that leave while their answer waits for them: nothing of them may stay. */
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import { it } from 'vitest';
import { connected } from './http2-stage.ts';
import { getOf, opening, resetOf } from './rules/smuggling-http2.ts';
import { closeAfterEach, onCleanup, until, upstream } from './support.ts';

closeAfterEach();

const long = 'y'.repeat(300_000);

const big = () => connected((router) => router.route('/*', { handle: () => new Response(long) }));

it('one that ends its side of the connection is gone', async () => {
  const { url, router } = await big();
  const client = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => {}).on('data', () => {});
  onCleanup(() => void client.destroy());
  client.write(Buffer.concat([opening, getOf(1)]));
  await until(() => router.active === 1);
  client.end();
  await until(() => router.active === 0);
});

it.each([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL])(
  'one that resets a stream with code %i and keeps its connection is done with',
  async (code) => {
    const { url: stuck } = await upstream((_request, response) => void response.write(long));
    const { url, router } = await connected((it) => it.route('/*', { url: stuck }));
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.on('error', () => {}).on('data', () => {});
    onCleanup(() => void client.destroy());
    client.write(Buffer.concat([opening, getOf(1)]));
    await until(() => router.active === 1);
    client.write(resetOf(1, code));
    await until(() => router.active === 0);
  },
);

it('one that resets a stream whose answer is over, and goes, leaves nothing', async () => {
  const { url, router } = await big();
  const client = connectHttp2(url, { settings: { initialWindowSize: 1_000 } });
  client.on('error', () => {});
  const stream = client.request({ ':path': '/' });
  stream.on('error', () => {});
  await new Promise((resolve) => stream.once('response', resolve));
  stream.close(constants.NGHTTP2_NO_ERROR);
  await new Promise((resolve) => setTimeout(resolve, 20));
  client.destroy();
  await until(() => router.active === 0);
});
