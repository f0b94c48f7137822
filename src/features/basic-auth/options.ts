/** Options of `basicAuth`: who the users are, and what the upstream learns of them. */
import { z } from "zod";
import { settableFieldName } from "../../core/option-types.ts";
import { failedAttempts, realm } from "../../identity/options.ts";
import { exactlyOne, userFields } from "../../identity/users/options.ts";

export const basicAuthOptions = z
  .strictObject({
    ...userFields,
    realm: realm(),
    forward: z
      .boolean()
      .default(false)
      .describe("`true`: the upstream gets the `Authorization` field too. Otherwise it is removed."),
    userHeader: settableFieldName()
      .optional()
      .describe("A field that tells the upstream the user's name. What the client sent under this name is removed."),
    failedAttempts: failedAttempts(),
  })
  .check(exactlyOne)
  .describe("Lets users pass who give their name and password (HTTP Basic, RFC 7617) and answers 401 to the others.");

/** Hashes are judged already. */
export type BasicAuthOptions = z.output<typeof basicAuthOptions>;
