import { realpathSync } from 'node:fs';
import { Conversation } from './conversation.ts';
import type { ServerKind, Site } from './server-kind.ts';

const url = ({ ports }: Site): string => `amqp://guest:guest@127.0.0.1:${ports[0]}`;

/** What every AMQP 0-9-1 client says first. */
export const amqpHeader: Buffer = Buffer.from('AMQP\0\0\x09\x01', 'latin1');

/** RabbitMQ as a node of its own, with an `epmd` of its own: neither touches one that the machine runs. */
export const rabbitmq: ServerKind = {
  name: 'rabbitmq',
  binary: 'rabbitmq-server',
  // The program of the same name in /usr/sbin only runs as root or rabbitmq, and in the system's folders.
  folders: ['/usr/lib/rabbitmq/bin'],
  install: 'apt-get install rabbitmq-server',
  environment: 'AMQP_URL',
  scheme: 'amqp',
  users: ['rabbitmq', 'nobody'],
  ports: 3,
  // Two seconds of orderly shutdown are of no use to a directory that is deleted next.
  stopSignal: 'KILL',
  // `rabbitmq-server --version` would start a server; the installation's folder carries the version.
  version: (binary) => /rabbitmq_server-([\d.]+)/.exec(realpathSync(binary))?.[1] ?? 'unknown version',
  url,
  commands: ({ directory, ports: [amqpPort, distributionPort, epmdPort] }) => {
    const epmd = { ERL_EPMD_PORT: String(epmdPort), ERL_EPMD_ADDRESS: '127.0.0.1' };
    const environment = {
      ...epmd,
      RABBITMQ_NODENAME: `holdfast-${amqpPort}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(amqpPort),
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_MNESIA_BASE: `${directory}/mnesia`,
      RABBITMQ_LOG_BASE: `${directory}/log`,
      RABBITMQ_LOGS: '-',
      RABBITMQ_PID_FILE: `${directory}/pid`,
      RABBITMQ_GENERATED_CONFIG_DIR: `${directory}/generated`,
      // Files that do not exist, in place of the system's under /etc/rabbitmq.
      RABBITMQ_CONF_ENV_FILE: `${directory}/none`,
      RABBITMQ_CONFIG_FILE: `${directory}/none`,
      RABBITMQ_ADVANCED_CONFIG_FILE: `${directory}/none.config`,
      RABBITMQ_ENABLED_PLUGINS_FILE: `${directory}/none.plugins`,
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}',
    };
    return [
      { program: 'epmd', arguments: ['-port', String(epmdPort), '-address', '127.0.0.1'], environment: epmd },
      { program: 'rabbitmq-server', arguments: [], environment },
    ];
  },
  ready: async (site) => {
    const conversation = await Conversation.open(new URL(url(site)));
    try {
      conversation.say(amqpHeader);
      // A method frame on channel 0: Connection.Start.
      return (await conversation.hearBytes(3)).equals(Buffer.from([1, 0, 0]));
    } finally {
      conversation.close();
    }
  },
};
