/** One way to break the engine: in this file, this text becomes that. */
export interface Mutant {
  readonly name: string;
  readonly changes: readonly {
    readonly file: string;
    readonly from: string;
    readonly to: string;
  }[];
}

function mutant(name: string, file: string, from: string, to: string): Mutant {
  return { name, changes: [{ file, from, to }] };
}

const misfit = {
  file: 'saga/decide.ts',
  from: 'if (decided !== undefined) return',
  to: 'if (decided !== undefined && unit.length > 99) return',
};

const unnamed = {
  file: 'saga/repair.ts',
  from: 'pivot && named === undefined',
  to: 'pivot && named === null',
};

/** Mistakes that engines of this kind really make. The simulation must find every one. */
export const mutants: readonly Mutant[] = [
  mutant(
    'a step is written down before it has its effect',
    'saga/attempts.ts',
    'settled.then(',
    'resolve(this.#done(1)); settled.then(',
  ),
  mutant(
    'undos run in the order of the steps',
    'saga/decide.ts',
    'for (let index = plan.units.length - 1; index >= 0; index -= 1) {\n    const unit = plan.units[index]!;\n    const position = end - unit.length;',
    'let start = 0;\n  for (let index = 0; index < plan.units.length; index += 1) {\n    const unit = plan.units[index]!;\n    const position = start;\n    start += unit.length;\n    end = start;',
  ),
  mutant(
    'a group is undone in the order of its members',
    'saga/decide.ts',
    'happened.filter((step) => step.undoable).reverse()',
    'happened.filter((step) => step.undoable)',
  ),
  mutant(
    'doubt is treated as a refusal',
    'saga/judge.ts',
    'return !doubtful ||',
    'return !doubtful || true ||',
  ),
  mutant(
    'what was in doubt is not undone',
    'saga/decide.ts',
    "return status === 'done' || status === 'failed';",
    "return status === 'done';",
  ),
  {
    name: 'a pivot in doubt is compensated',
    changes: [
      {
        file: 'saga/judge.ts',
        from: "if (step.kind === 'compensatable' && !failure.outrun)",
        to: "if (step.kind !== 'retriable' && !failure.outrun)",
      },
      misfit,
    ],
  },
  {
    name: 'a step after the pivot that fails is compensated',
    changes: [
      {
        file: 'saga/judge.ts',
        from: "if (step.kind === 'compensatable' && !failure.outrun)",
        to: "if (step.kind !== 'pivot' && !failure.outrun)",
      },
      misfit,
    ],
  },
  mutant('retries have no end', 'saga/judge.ts', '&& rounds < maxRounds', '&& (rounds < maxRounds || true)'),
  mutant(
    'the key has the attempt in it',
    'saga/task.ts',
    'this.key = keyOf(task, operation);',
    "this.key = keyOf(task, operation) + '/' + attempt;",
  ),
  mutant(
    'the key has the claim in it',
    'saga/task.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    '/${step.name}/',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    '/${record.epoch}/${step.name}/',
  ),
  mutant(
    'an undo has the key of its step',
    'saga/task.ts',
    'this.key = keyOf(task, operation);',
    "this.key = keyOf(task, 'do');",
  ),
  mutant(
    'an undo does not wait until its step has ended',
    'saga/attempts.ts',
    'if (this.#underWay > 0 && !(await',
    'if (this.#underWay > 99 && !(await',
  ),
  mutant(
    'what another process began is not in doubt',
    'saga/worker.ts',
    'this.#execute(record, true)',
    'this.#execute(record, false)',
  ),
  mutant(
    'a worker goes on when its write was fenced off',
    'saga/record-writer.ts',
    '(written === undefined ? this.#lose() :',
    '(written === undefined ? this.#advanceTo(change, 0) :',
  ),
  mutant(
    'a store does not fence',
    'adapters/memory/saga-store.ts',
    'if (slot.row.epoch !== record.epoch || slot.row.version !== record.version) return undefined;',
    '',
  ),
  mutant(
    'a store gives away what a living worker holds',
    'adapters/memory/saga-store.ts',
    '!holding.has(slot.row.id) : !this.#isAlive(slot.owner)',
    '!holding.has(slot.row.id) : true',
  ),
  mutant(
    'a saga whose create was acknowledged in vain is nobody’s',
    'adapters/memory/saga-store.ts',
    '? !holding.has(slot.row.id) : !this.#isAlive(slot.owner)',
    '? false : !this.#isAlive(slot.owner)',
  ),
  mutant(
    'a write that failed is taken for written',
    'saga/record-writer.ts',
    '(error) => this.#writeAgain(change, error),',
    '() => this.#advanceTo(change, 0),',
  ),
  mutant(
    'an operator turns a saga forward again',
    'saga/journal.ts',
    "return { status: 'compensating', reason: first",
    "return { status: 'running', reason: first",
  ),
  {
    name: 'an operator skips a pivot in doubt',
    changes: [
      {
        file: 'saga/journal.ts',
        from: "kind === 'retriable' || (isPivot && once === true)",
        to: 'true',
      },
      unnamed,
    ],
  },
  { name: 'whoever skips all that is parked says that a pivot happened', changes: [unnamed] },
  mutant(
    'a repair forgets those before it',
    'saga/journal.ts',
    'const repairs = [...(record.repairs ?? []), {',
    'const repairs = [{',
  ),
  mutant(
    'a condition is not written down',
    'saga/decide.ts',
    'records[position + index] !== undefined || !needsOpening(step)',
    "records[position + index] !== undefined || step.type === 'call'",
  ),
  mutant(
    'a cancel is honoured after the pivot',
    'saga/turning.ts',
    "if (kind === 'retriable' || (inherited",
    "if (kind === 'nothing' as never || (inherited",
  ),
  mutant(
    'a cancel is honoured when the pivot may have been begun',
    'saga/turning.ts',
    "if (kind === 'pivot' && (inherited || begun(name))) return undefined;",
    '',
  ),
  mutant(
    'a cancel is promised and not honoured',
    'saga/turning.ts',
    "if (status !== 'running' && status !== 'waiting') return { outcome: 'tooLate', status };",
    "if (cancels.size > 0) return { outcome: 'accepted' };\n  if (status !== 'running' && status !== 'waiting') return { outcome: 'tooLate', status };",
  ),
  mutant(
    'a request that came unseen does not wake a saga',
    'adapters/memory/saga-shelf.ts',
    'this.#woken = this.requests.size > (record.requests?.length ?? 0);',
    'this.#woken = false;',
  ),
  mutant(
    'a request does not wake a saga that waits',
    'adapters/memory/saga-shelf.ts',
    '    this.#woken = true;\n',
    '',
  ),
  mutant(
    'a signal is used for every wait',
    'saga/opening.ts',
    "if (request.type !== 'signal' || request.name !== name) continue;",
    "if (request.type !== 'signal') continue;",
  ),
  mutant(
    'a saga that waits is claimed before its time',
    'adapters/memory/saga-shelf.ts',
    'this.row.wake_at ?? Number.POSITIVE_INFINITY',
    '0',
  ),
  mutant(
    'a delay begins anew with each claim',
    'saga/opening.ts',
    "if (step.type === 'delay' && isOver)",
    "if (step.type === 'delay' && options.now > 0)",
  ),
  mutant(
    'a group turns back while members are under way',
    'saga/group-work.ts',
    'const ended = await Promise.all(members);',
    'const never = new Promise<never>(() => {}); const ended = await Promise.race([Promise.all(members), ...members.map((m) => m.then((one) => (this.#turned.length > 0 ? [one] : never)))]);',
  ),
  mutant(
    'a step that is to be done once is not written down as begun',
    'saga/once-work.ts',
    'await task.intend(task.step.name);',
    '!task.halt.aborted;',
  ),
  mutant(
    'a lazy saga does not write down that it turns back',
    'saga/record-writer.ts',
    "if (!defers || !entries.every((entry) => entry.type === 'done' && isCall(entry.step))) return false;",
    'if (!lazy || !entries.every(({ type }) => type !== "finished")) return false;',
  ),
  mutant(
    'an execution goes on beside the one that took its place',
    'saga/worker.ts',
    'if (this.#supersede(record)) return;',
    '',
  ),
];
