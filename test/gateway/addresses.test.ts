import { describe, expect, it } from 'vitest';
import {
  addressKey,
  addressSet,
  clientBehind,
  includesAddress,
  plainAddress,
} from '../../src/gateway/http/addresses.ts';

describe('addresses', () => {
  const trusted = addressSet('test', 'trusted', ['10.0.0.0/8', '::1', 'fd00::/8']);

  it.each([
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['11.0.0.1', false],
    ['::1', true],
    ['fd12::1', true],
    ['nonsense', false],
    ['', false],
  ])('%s in the set: %s', (address, expected) => {
    expect(includesAddress(trusted, address)).toBe(expected);
  });

  it.each(['10.0.0.0/33', '10.0.0', 'host', '::/129', '10.0.0.0/x', ''])('refuses the entry %j', (entry) => {
    expect(() => addressSet('test', 'trusted', [entry])).toThrow('CIDR');
  });

  it.each([
    ['10.0.0.1', '1.2.3.4', '1.2.3.4'],
    ['10.0.0.1', '9.9.9.9, 1.2.3.4', '1.2.3.4'],
    ['10.0.0.1', '9.9.9.9, 1.2.3.4, 10.0.0.7', '1.2.3.4'],
    ['10.0.0.1', '1.2.3.4:555', '1.2.3.4'],
    ['10.0.0.1', '"[2001:db8::1]:80", [2001:db8::2]:80', '2001:db8::2'],
    ['10.0.0.1', '::ffff:102:304', '1.2.3.4'],
    ['10.0.0.1', '::FFFF:1.2.3.4, ::ffff:a00:7', '1.2.3.4'],
    ['10.0.0.1', 'unknown', '10.0.0.1'],
    ['10.0.0.1', '1.2.3.4, evil', '10.0.0.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['8.8.8.8', '1.2.3.4', '8.8.8.8'],
  ])('rule 17: behind %s with %j is %s', (peer, list, client) => {
    expect(clientBehind(peer, list, trusted)).toBe(client);
  });

  it.each([
    ['1.2.3.4', '1.2.3.4'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
    ['unknown', 'unknown'],
  ])('counts %s as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  it('undoes what the system does to addresses', () => {
    expect(plainAddress('::ffff:1.2.3.4')).toBe('1.2.3.4');
    expect(plainAddress('::ffff:c0a8:1')).toBe('192.168.0.1');
    expect(plainAddress('::ffff:0:102:304')).toBe('::ffff:0:102:304');
    expect(plainAddress('fe80::1%eth0')).toBe('fe80::1');
  });
});
