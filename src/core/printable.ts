/** Text that others wrote, as it may stand on a terminal: characters that could steer it are shown as `\xNN`. */
export function printable(text: string): string {
  return text.replace(
    /\p{Cc}|\p{Cf}|\u2028|\u2029/gu,
    (character) => `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}
