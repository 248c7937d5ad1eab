/**
 * A flat list of header fields in the form in which undici gives one, a buffer for each text. Pseudo-fields of HTTP/2 are
 * left out.
 */
export function rawBuffers(raw: readonly string[]): Buffer[] {
  const list: Buffer[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    if (!raw[index]!.startsWith(':'))
      list.push(Buffer.from(raw[index]!, 'latin1'), Buffer.from(raw[index + 1]!, 'latin1'));
  }
  return list;
}
