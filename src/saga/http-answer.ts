/** What a saga's step makes of a participant's HTTP answer. */
import { RefusedError, UpstreamError } from '../core/errors.ts';
import { isPlainObject, type JsonValue, parseJson } from '../core/json.ts';

/** The header of an answer that refuses: `undo` (the step was undone before) or `work` (the participant said no). */
export const refusedHeader = 'holdfast-refused';

/** The header of an answer that was given before. */
export const replayedHeader = 'idempotent-replayed';

/**
 * The refusal that a participant behind a `sagaEndpoint` answered with; undefined for every other answer. It speaks for
 * all attempts under its key, so it is conclusive: throw it out of the step. Of a refusal it reads the body.
 */
export async function refusedBy(response: Response): Promise<RefusedError | undefined> {
  const by = response.headers.get(refusedHeader);
  if (response.status !== 409 || by === null) return undefined;
  const body = await response.text().catch(() => '');
  const reason = detailOf(body) ?? (by === 'undo' ? 'the step was undone before' : 'the participant refused');
  return new RefusedError(reason, { conclusive: true });
}

/**
 * What a step returns for a participant's answer: its JSON, or undefined when it has none.
 *
 * @throws RefusedError, conclusive, when the participant refused: the saga turns back without undoing this step.
 * @throws UpstreamError for any other status that is not 2xx, and for JSON that is none: the step is in doubt.
 */
export async function sagaAnswer(response: Response): Promise<JsonValue | undefined> {
  const refused = await refusedBy(response);
  if (refused !== undefined) throw refused;
  const text = await response.text();
  const upstream = hostOf(response);
  if (!response.ok) {
    const detail = detailOf(text);
    const retryable = response.status >= 500 || response.status === 408 || response.status === 429;
    const why = `answered ${response.status}${detail === undefined ? '' : `: ${detail}`}`;
    throw new UpstreamError(upstream, why, { retryable });
  }
  if (text === '' || !isJson(response.headers.get('content-type'))) return undefined;
  return parseJson(text, `the answer of ${upstream}`);
}

/** Whether a content type is JSON's. */
export function isJson(type: string | null | undefined): boolean {
  return /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type ?? '');
}

function hostOf({ url }: Response): string {
  return URL.canParse(url) ? new URL(url).host : 'the participant';
}

function detailOf(body: string): string | undefined {
  try {
    const problem = parseJson(body, 'a problem');
    return isPlainObject(problem) && typeof problem.detail === 'string' ? problem.detail : undefined;
  } catch {
    return undefined;
  }
}
