/** nginx, as the upstream of every contender and as one of them. One worker each. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answering, childrenOf, pinned } from './machine.mjs';

const common = (directory) => `
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_body_buffer_size 64k;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;`;

async function start(core, port, servers) {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `${process.getuid() === 0 ? 'user root;\n' : ''}worker_processes 1;
error_log stderr emerg;
pid ${directory}/pid;
daemon off;
events { worker_connections 4096; }
http {${common(directory)}${servers(directory)}
}
`,
  );
  const child = pinned(core, 'nginx', ['-p', directory, '-c', file]);
  const url = `http://127.0.0.1:${port}`;
  await answering(`${url}/1k`);
  // The master starts the worker, which does the work. An old one ends with this process.
  return { url, pid: childrenOf(child.pid)[0] };
}

/** Answers `/1k` and `/64k` with so many bytes, and any POST with a few. */
export function startUpstream(core, port) {
  return start(core, port, (directory) => {
    writeFileSync(join(directory, '1k'), 'k'.repeat(1_024));
    writeFileSync(join(directory, '64k'), 'k'.repeat(65_536));
    return `
  open_file_cache max=10 inactive=300s;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${directory};
    default_type text/plain;
    location = /post { return 200 "thank you"; }
  }`;
  });
}

/** Forwards everything. */
export function startProxy(core, port, upstream) {
  return start(
    core,
    port,
    () => `
  upstream behind {
    server ${new URL(upstream).host};
    keepalive 128;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffers 16 16k;
    }
  }`,
  );
}
