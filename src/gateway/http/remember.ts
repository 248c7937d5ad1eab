/**
 * Keep what was found out, and let go of what was kept longest when there is too much: clients choose the keys, and one
 * who invents many must neither fill the memory nor shut the place to what comes after.
 */
export function remember<K, V>(kept: Map<K, V>, most: number, key: K, value: V): void {
  if (kept.size >= most) kept.delete(kept.keys().next().value as K);
  kept.set(key, value);
}
