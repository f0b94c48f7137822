/** Options of `rewrite`: a regular expression over the path, and its replacement. */
import { z } from "zod";
import { regex } from "../../core/option-types.ts";

/** `$1`, `$12`, `$<name>`, `$$`, `$&`: the only references that String.replace gives a useful meaning in a path. */
const REFERENCE = /\$(?:(\d{1,2})|<([^>]*)>|[$&]|)/g;

/** What is wrong with a replacement for this pattern; null when nothing is. */
function replacementError(match: string, to: string): string | null {
  const groups = new RegExp(`${match}|`, "u").exec("");
  const count = (groups?.length ?? 1) - 1;
  for (const [reference, index, name] of to.matchAll(REFERENCE)) {
    if (reference === "$") return `"$" stands for a group ($1, $<name>, $&): write $$ for the character itself`;
    if (index !== undefined && (Number(index) === 0 || Number(index) > count)) {
      return `${reference} refers to a group that the pattern does not have (it has ${count})`;
    }
    if (name !== undefined && !Object.hasOwn(groups?.groups ?? {}, name)) {
      return `${reference} refers to a group that the pattern does not name`;
    }
  }
  return null;
}

export const rewriteOptions = z
  .strictObject({
    match: regex().describe("What is replaced in the normalised path (the query is no part of it), once."),
    to: z
      .string()
      .regex(/^[\x21-\x7e]*$/, { error: "expected visible ASCII without spaces: percent-encode the rest" })
      .regex(/^[^?#]*$/, { error: "expected a path: a rewrite leaves the query as it is" })
      .describe(
        "The replacement. `$1` and `$<name>` are groups of the pattern, `$&` is all that matched, `$$` is a dollar sign.",
      ),
  })
  .check((context) => {
    const message = replacementError(context.value.match, context.value.to);
    if (message !== null) context.issues.push({ code: "custom", message, path: ["to"], input: context.value });
  })
  .describe(
    "Replaces what a regular expression matches in the path before the request goes to the upstream. A result that does not begin with `/` is answered with 500.",
  );

export type RewriteOptions = z.output<typeof rewriteOptions>;
