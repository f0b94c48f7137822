/** Options of `headers`: fields that are set, added and removed on the way to the upstream and on the way back. */
import { z } from "zod";
import { secret } from "../../core/option-files.ts";
import { fieldValue, settableFieldName } from "../../core/option-types.ts";

const value = secret(fieldValue());

/** One direction. In the resolved form names are in lower case and `add` has a list of values for every name. */
const changes = z.strictObject({
  set: z
    .record(settableFieldName(), value)
    .prefault({})
    .describe("Fields that get exactly this value, whatever the message had. A value may be `{ file: path }`."),
  add: z
    .record(settableFieldName(), z.union([value.transform((text): string[] => [text]), z.array(value).min(1)]))
    .prefault({})
    .describe(
      "Fields that are appended, beside those of the same name. One value or a list; each may be `{ file: path }`.",
    ),
  remove: z
    .array(settableFieldName())
    .prefault([])
    .describe("Fields that are removed. Removing comes first, then `set`, then `add`."),
});

export const headersOptions = z
  .strictObject({
    request: changes.prefault({}).describe("Changes to the request before it goes to the upstream."),
    response: changes.prefault({}).describe("Changes to the answer before it goes to the client."),
  })
  .describe("Sets, adds and removes header fields of requests and of answers.");

export type HeadersOptions = z.output<typeof headersOptions>;
export type HeaderChanges = z.output<typeof changes>;
