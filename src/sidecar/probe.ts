import { request } from 'node:http';
import { connect } from 'node:net';

/** Asks once whether the app is healthy. May reject, which counts as no. */
export type Probe = (signal: AbortSignal) => Promise<boolean>;

/** Healthy when the path answers with a status below 400. */
export function httpProbe(host: string, port: number, path: string): Probe {
  return (signal) =>
    new Promise((resolve, reject) => {
      // No agent: a kept-alive connection would say nothing about whether the app still accepts new ones.
      const outgoing = request({ host, port, path, agent: false, signal }, (response) => {
        response.resume();
        resolve((response.statusCode ?? 500) < 400);
        // What follows is of no interest, an answer without end included.
        response.on('error', () => {});
        response.destroy();
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
}

/** Healthy when the port takes a connection: the most that can be asked of an app without a health path. */
export function connectProbe(host: string, port: number): Probe {
  return (signal) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, signal });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
}
