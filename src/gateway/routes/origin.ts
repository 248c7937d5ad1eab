import { InvalidOptionsError } from '../../core/errors.ts';
import { describe } from '../../core/options.ts';

/**
 * A fixed upstream's origin.
 *
 * @throws InvalidOptionsError when it is anything else.
 */
export function originOf(field: string, url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const bare =
    parsed !== undefined && `${parsed.origin}/` === parsed.href && /^https?:$/.test(parsed.protocol);
  if (!bare) {
    const accepts =
      "an http(s) origin without a path, such as 'http://127.0.0.1:3000'; see `rewrite` and `addPrefix`";
    throw new InvalidOptionsError('RequestRouter.route', [{ field, received: describe(url), accepts }]);
  }
  return parsed.origin;
}
