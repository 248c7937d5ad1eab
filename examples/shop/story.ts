import { styleText } from 'node:util';

const coloured = process.stdout.isTTY && process.env.NO_COLOR === undefined;

/** Text in a colour, where the terminal has any. */
function paint(format: Parameters<typeof styleText>[0], text: string): string {
  return coloured ? styleText(format, text) : text;
}

/** Tells what happens on stage: one heading a scene, one line a fact. */
export const story = {
  title(text: string): void {
    console.log(`\n${paint('bold', text)}`);
  },
  scene(number: number, text: string): void {
    console.log(`\n${paint('cyan', String(number))}  ${paint('bold', text)}`);
  },
  fact(text: string): void {
    console.log(`   ${text}`);
  },
  good(text: string): void {
    console.log(`   ${paint('green', '✔')} ${text}`);
  },
  bad(text: string): void {
    console.log(`   ${paint('red', '✘')} ${text}`);
  },
  /** A line that passes or fails; remembers the failures. */
  check(holds: boolean, text: string): void {
    if (holds) story.good(text);
    else {
      story.bad(text);
      failures.push(text);
    }
  },
};

/** Every check that failed. */
export const failures: string[] = [];
