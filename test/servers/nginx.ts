import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { printedVersion } from './find-binary.ts';
import type { ServerKind, Site } from './server-kind.ts';

const url = ({ ports }: Site): string => `http://127.0.0.1:${ports[0]}`;

/** What the file `letters.txt` holds. */
export const letters = 'abcdefghijklmnopqrstuvwxyz\n'.repeat(1_000);

/**
 * nginx, which serves files (first port; by HTTP/2 alone on the second), takes uploads below `/uploads/`, and passes
 * what comes to the third and fourth on to the fifth, by HTTP/1.0 and by HTTP/1.1 with connections kept. The test
 * listens on the fifth.
 */
export const nginx: ServerKind = {
  name: 'nginx',
  binary: 'nginx',
  install: 'apt-get install nginx',
  scheme: 'http',
  users: ['www-data', 'nobody'],
  ports: 5,
  stopSignal: 'INT',
  version: (binary) => printedVersion(binary, '-v'),
  url,
  prepare: async ({ directory, ports }) => {
    await mkdir(join(directory, 'files'));
    await writeFile(join(directory, 'files', 'letters.txt'), letters);
    await writeFile(join(directory, 'nginx.conf'), configuration(directory, ports));
  },
  commands: ({ directory }) => [
    { program: 'nginx', arguments: ['-p', directory, '-e', 'stderr', '-c', join(directory, 'nginx.conf')] },
  ],
  ready: async (site) => (await fetch(`${url(site)}/ready`)).ok,
};

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

function configuration(directory: string, ports: readonly number[]): string {
  const [files, http2, asOld, asNew, behind] = ports;
  const passing = `
      proxy_pass http://behind;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`;
  return `
daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${join(directory, `temporary-${name}`)};`).join('\n  ')}
  client_max_body_size 0;
  default_type text/plain;
  upstream behind { server 127.0.0.1:${behind}; keepalive 4; }
  map $http_upgrade $upgraded { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${files};
    listen 127.0.0.1:${http2} http2;
    gzip on;
    gzip_http_version 1.0;
    gzip_proxied any;
    location = /ready { return 204; }
    location = /moved { return 301 /files/letters.txt; }
    location /files/ { root ${directory}; }
    location = /chunked.txt { alias ${join(directory, 'files', 'letters.txt')}; sub_filter_types text/plain; sub_filter 'none of it' ''; }
    location /uploads/ { root ${directory}; dav_methods PUT DELETE; create_full_put_path on; }
  }
  server {
    listen 127.0.0.1:${asOld};
    location / {${passing}
    }
  }
  server {
    listen 127.0.0.1:${asNew};
    location / {${passing}
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgraded;
    }
  }
}
`;
}
