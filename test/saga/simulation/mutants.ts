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

/** Mistakes that engines of this kind really make. The simulation must find every one. */
export const mutants: readonly Mutant[] = [
  {
    name: 'a step is written down before it has its effect',
    changes: [
      {
        file: 'saga/attempts.ts',
        from: 'return { value: await (policy === undefined ? work(call) : policy.run(work, call)) };',
        to: 'void (policy === undefined ? work(call) : policy.run(work, call)).catch(() => {}); return { value: 1 };',
      },
      {
        file: 'saga/attempts.ts',
        from: '!(await this.#underWay.drained(clock, settleTimeout))',
        to: 'clock === undefined || settleTimeout === undefined',
      },
    ],
  },
  mutant(
    'undos run in the order of the steps',
    'saga/decide.ts',
    '[...steps.entries()].reverse()',
    'steps.entries()',
  ),
  mutant(
    'doubt is treated as a refusal',
    'saga/decide.ts',
    'return !doubtful ||',
    'return !doubtful || true ||',
  ),
  mutant(
    'what was in doubt is not undone',
    'saga/decide.ts',
    "record.status === 'done' || record.status === 'failed'",
    "record.status === 'done'",
  ),
  {
    name: 'a pivot in doubt is compensated',
    changes: [
      {
        file: 'saga/decide.ts',
        from: "if (step.kind === 'compensatable') return 'failed';",
        to: "if (step.kind !== 'retriable') return 'failed';",
      },
      {
        file: 'saga/decide.ts',
        from: "if (happened && step.kind !== 'compensatable') return misfitAction(record);",
        to: '',
      },
    ],
  },
  {
    name: 'a step after the pivot that fails is compensated',
    changes: [
      {
        file: 'saga/decide.ts',
        from: "if (step.kind === 'compensatable') return 'failed';",
        to: "if (step.kind !== 'pivot') return 'failed';",
      },
      {
        file: 'saga/decide.ts',
        from: "if (happened && step.kind !== 'compensatable') return misfitAction(record);",
        to: '',
      },
    ],
  },
  mutant('retries have no end', 'saga/decide.ts', 'rounds < maxRounds', 'rounds < maxRounds || true'),
  mutant(
    'the key has the attempt in it',
    'saga/step-work.ts',
    'key: keyOf(task, operation),',
    "key: keyOf(task, operation) + '/' + attempt,",
  ),
  mutant(
    'the key has the claim in it',
    'saga/step-work.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    '/${step.name}/',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    '/${record.epoch}/${step.name}/',
  ),
  mutant(
    'an undo has the key of its step',
    'saga/step-work.ts',
    'key: keyOf(task, operation),',
    "key: keyOf(task, 'do'),",
  ),
  mutant(
    'an undo does not wait until its step has ended',
    'saga/attempts.ts',
    '!(await this.#underWay.drained(clock, settleTimeout))',
    'clock === undefined || settleTimeout === undefined',
  ),
  mutant(
    'what another process began is not in doubt',
    'saga/worker.ts',
    'this.#execute(record, true);',
    'this.#execute(record, false);',
  ),
  mutant(
    'a worker goes on when its write was fenced off',
    'saga/execution.ts',
    'if (written || (tries > 1',
    'if (written || next !== undefined || (tries > 1',
  ),
  mutant(
    'a store does not fence',
    'adapters/memory/saga-store.ts',
    'slot.row.epoch !== epoch || slot.row.version !== version',
    'version === undefined',
  ),
  mutant(
    'a saga whose create was acknowledged in vain is nobody’s',
    'adapters/memory/saga-store.ts',
    'own ? holding.has(id) : this.#isAlive(owner)',
    'holding.has(id) || this.#isAlive(owner)',
  ),
  mutant(
    'a write that failed is taken for written',
    'saga/execution.ts',
    "const written = await store.call('update', (s) => s.update(next));",
    "const written = await store.call('update', (s) => s.update(next)).catch(() => true);",
  ),
  mutant(
    'an operator turns a saga forward again',
    'saga/journal.ts',
    "return { status: 'compensating', reason: turnOf(turn) };",
    "return { status: 'running', reason: turnOf(turn) };",
  ),
  mutant(
    'an operator skips a pivot in doubt',
    'saga/repair.ts',
    "if (kind === 'pivot') {",
    "if (kind === 'pivot' && false) {",
  ),
  mutant(
    'a repair forgets those before it',
    'saga/journal.ts',
    'repairs: [...(record.repairs ?? []), {',
    'repairs: [{',
  ),
  mutant(
    'a crash is never made good',
    'saga/worker.ts',
    'for (const record of records) this.#takeOver(record);',
    '',
  ),
];
