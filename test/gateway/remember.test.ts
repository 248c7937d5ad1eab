import { describe, expect, it } from 'vitest';
import { headerName } from '../../src/gateway/http/header-names.ts';
import { remember } from '../../src/gateway/http/remember.ts';

describe('remember', () => {
  it('holds the newest, and no more than it may', () => {
    const kept = new Map<string, number>();
    for (let turn = 0; turn < 10; turn += 1) remember(kept, 3, `k${turn}`, turn);
    expect([...kept]).toEqual([
      ['k7', 7],
      ['k8', 8],
      ['k9', 9],
    ]);
  });

  it('names of header fields are still remembered after many were invented', () => {
    for (let turn = 0; turn < 5_000; turn += 1) headerName(`X-Invented-${turn}`);
    expect(headerName('X-Honest')).toBe(headerName('X-Honest'));
    expect(headerName('Connection').endsHere).toBe(true);
  });
});
