import gateway from 'fast-gateway';

const server = gateway({ routes: [{ prefix: '', target: process.env.UPSTREAM }] });
await server.start(Number(process.env.PORT), '127.0.0.1');
process.send('listening');
