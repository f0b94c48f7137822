/** Options of `jwt`: which tokens are good, what their identity must have, and what the upstream is told of it. */
import { z } from "zod";
import { settableFieldName, textKind } from "../../core/option-types.ts";
import { failedAttempts, realm } from "../../identity/options.ts";
import { requiredClaims, resolveTokens, tokenFields } from "../../identity/tokens/options.ts";
import { parseRule, RuleError } from "./expression.ts";

function mistakeIn(text: string): string | null {
  try {
    parseRule(text);
    return null;
  } catch (error) {
    if (error instanceof RuleError) return error.message;
    throw error;
  }
}

/** Stays text, for the thread that compiles it. */
const claimRule = textKind<string>({
  id: "claimRule",
  expected: 'a rule over claims such as "admin" in groups',
  description:
    'A rule over the claims: `claim == "text"`, `claim != 3`, `"word" in claim` (of a list, or of words with spaces between them), `claim` (it is there), put together with `and`, `or`, `not` and parentheses. Dots lead into objects; names of other characters stand in backquotes.',
  parse: (text) => (mistakeIn(text) === null ? text : null),
  explain: mistakeIn,
});

const { forward, ...fields } = tokenFields(true);

export const jwtOptions = z
  .strictObject({
    ...fields,
    require: z
      .union([claimRule(), requiredClaims()])
      .optional()
      .describe(
        'What the identity must have, otherwise it gets 403: a rule such as `"admin" in groups and email_verified`, or `{ claim: value }` with a value, a list of values or `true` for any but `false`.',
      ),
    headers: z
      .record(settableFieldName(), z.string().min(1))
      .prefault({})
      .describe(
        "Fields that tell the upstream of claims: `{ x-user: sub, x-groups: groups }`. Lists are joined by commas; dots lead into objects. What the client sent in these fields is always removed.",
      ),
    forward,
    realm: realm(),
    failedAttempts: failedAttempts(),
  })
  .transform((block, context) => ({
    tokens: resolveTokens(block, context),
    require: block.require ?? null,
    headers: Object.entries(block.headers) as readonly (readonly [field: string, claim: string])[],
    realm: block.realm,
    failedAttempts: block.failedAttempts,
  }))
  .describe(
    "Lets requests pass that have a good token (JWT), checks what its claims say, and tells the upstream of them.",
  );

export type JwtOptions = z.output<typeof jwtOptions>;
