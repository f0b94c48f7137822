/** Options of `headers`: fields that are set, added and removed on the way to the upstream and on the way back. */
import { z } from "zod";
import { secret } from "../../core/option-files.ts";
import { fieldTemplate, fieldValue, settableFieldName } from "../../core/option-types.ts";
import type { RequestPart, RequestTemplate } from "../../core/request-template.ts";

export type HeaderValue = string | RequestTemplate<RequestPart>;

/** A secret in a file is sent as it stands there, whatever it looks like. */
const requestValue = secret(fieldTemplate(), fieldValue());
/** Without parts of the request: behind a cache, what was made of one request would be given to others. */
const responseValue = secret(fieldValue());

/** One direction. In the resolved form names are in lower case and `add` has a list of values for every name. */
function changes<T extends HeaderValue>(
  value: z.ZodType<T, z.input<typeof requestValue>>,
  { valueSentence, removeSentence }: { readonly valueSentence: string; readonly removeSentence: string },
) {
  return z.strictObject({
    set: z
      .record(settableFieldName(), value)
      .prefault({})
      .describe(`Fields that get exactly this value, whatever the message had. ${valueSentence}`),
    add: z
      .record(settableFieldName(), z.union([value.transform((one): T[] => [one]), z.array(value).min(1)]))
      .prefault({})
      .describe(
        "Fields that are appended, beside those of the same name. One value or a list; each may be `{ file: path }`.",
      ),
    remove: z
      .array(settableFieldName())
      .prefault([])
      .describe(`Fields that are removed${removeSentence}. Removing comes first, then \`set\`, then \`add\`.`),
  });
}

const requestChanges = changes<HeaderValue>(requestValue, {
  valueSentence: "A value may have `{client}`, `{host}` and other parts of the request in it, or be `{ file: path }`.",
  removeSentence:
    ", as those are that `set` names, in every spelling that servers take for the same (`X_User`, `X.User`)",
});
const responseChanges = changes<string>(responseValue, {
  valueSentence: "A value may be `{ file: path }`.",
  removeSentence: "",
});

export const headersOptions = z
  .strictObject({
    request: requestChanges.prefault({}).describe("Changes to the request before it goes to the upstream."),
    response: responseChanges.prefault({}).describe("Changes to the answer before it goes to the client."),
  })
  .describe("Sets, adds and removes header fields of requests and of answers.");

export type HeadersOptions = z.output<typeof headersOptions>;
export type HeaderChanges = z.output<typeof requestChanges>;
