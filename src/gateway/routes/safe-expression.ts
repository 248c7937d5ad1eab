/**
 * Whether a regular expression may be put to what strangers send. A backtracking matcher can take exponential time over
 * a short text (`(a+)+$`), so an expression is let in only if the work that it can possibly cost is bounded: it is
 * estimated from above by multiplying the choices that it has. This refuses expressions that would do no harm; a
 * function can take their place.
 */

/** The longest text that an expression is put to, in characters. Longer ones do not match. */
export const longestTested = 256;

/** The most steps that an expression may cost. */
const mostSteps = 2 ** 20;

/** What is known of a group that is being read. */
interface Group {
  /** Choices in the branch that is being read. */
  branch: number;
  /** Choices in the branches before it. */
  earlier: number;
  /** Whether it can match in more ways than one. */
  varies: boolean;
}

const newGroup = (): Group => ({ branch: 1, earlier: 0, varies: false });

/** Why an expression is refused, or undefined when it is not. */
export function unsafeBecause(expression: RegExp): string | undefined {
  const { source, flags } = expression;
  if (/[gy]/.test(flags)) return 'the flags g and y make an expression remember its last match';
  if (/\\(?:[1-9]|k<)/.test(source.replaceAll('\\\\', ''))) return 'it has a reference back to a group';
  if (/\(\?<?[=!]/.test(source)) return 'it looks ahead or behind';
  const ways = waysOf(source);
  if (ways === undefined) return 'it repeats a group that can match in several ways';
  const starts = source.startsWith('^') && !source.includes('|') ? 1 : longestTested;
  return ways * starts > mostSteps ? 'it can match a text in too many ways' : undefined;
}

/** Atoms, group borders, branches and quantifiers; classes and escapes are one token each. */
const tokens =
  /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|.)|\[(?:\\.|[^\]\\])*\]|\((?:\?(?::|<\w+>))?|\)|\||[*+?]\??|\{\d+(?:,\d*)?\}\??|./gsu;

/** In how many ways an expression can match from one place, at most; undefined when there is no bound. */
function waysOf(source: string): number | undefined {
  const groups: Group[] = [newGroup()];
  let last: Group | undefined;
  for (const [token] of source.matchAll(tokens)) {
    const group = groups.at(-1)!;
    if (token.startsWith('(')) groups.push(newGroup());
    else if (token === ')') last = closeGroup(groups);
    else if (token === '|') {
      group.earlier += group.branch;
      group.branch = 1;
      group.varies = true;
    } else if (/^(?:[*+?]|\{\d)/.test(token)) {
      const repeats = repeatsOf(token);
      if (last?.varies && repeats.most > 1) return undefined;
      if (repeats.choices > 1) {
        group.branch *= repeats.choices;
        group.varies = true;
      }
    }
    if (token !== ')') last = undefined;
  }
  const whole = groups[0]!;
  return whole.earlier + whole.branch;
}

/** A group has ended: its choices multiply those of the branch that it stands in. */
function closeGroup(groups: Group[]): Group {
  const closed = groups.pop()!;
  const outer = groups.at(-1) ?? newGroup();
  if (groups.length === 0) groups.push(outer);
  outer.branch *= closed.earlier + closed.branch;
  outer.varies ||= closed.varies;
  return closed;
}

function repeatsOf(token: string): { readonly most: number; readonly choices: number } {
  if (token.startsWith('?')) return { most: 1, choices: 2 };
  const counted = /^\{(\d+)(,?)(\d*)\}/.exec(token);
  if (counted === null) return { most: longestTested, choices: longestTested };
  const least = Number(counted[1]);
  const most = counted[2] === '' ? least : counted[3] === '' ? longestTested : Number(counted[3]);
  return { most, choices: Math.max(1, most - least + 1) };
}
