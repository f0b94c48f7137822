/** Options of `basicAuth`: who the users are, and what the upstream learns of them. */
import { z } from "zod";
import { filePath } from "../../core/option-files.ts";
import { settableFieldName, textKind } from "../../core/option-types.ts";
import { explainUserName } from "../../identity/htpasswd.ts";
import { failedAttempts, realm } from "../../identity/options.ts";
import { judgeHash, type PasswordHash } from "../../identity/password-hash.ts";

const userName = textKind<string>({
  id: "userName",
  expected: "the name of a user",
  description: "The name of a user: any text without colons and control characters, at most 255 bytes.",
  pattern: "^[^:]+$",
  parse: (text) => (explainUserName(text) === null ? text : null),
  explain: explainUserName,
});

const passwordHash = textKind<PasswordHash>({
  id: "passwordHash",
  expected: "the hash of a password, made with `htpasswd -B`",
  description: "The hash of a password: bcrypt, as `htpasswd -B` makes it, or argon2id (`$argon2id$v=19$...`).",
  isSecret: true,
  parse: (text) => {
    const verdict = judgeHash(text);
    return verdict.ok ? verdict.hash : null;
  },
  explain: (text) => {
    const verdict = judgeHash(text);
    return verdict.ok ? null : verdict.why;
  },
});

export const basicAuthOptions = z
  .strictObject({
    file: filePath()
      .optional()
      .describe(
        "A file with a line `name:hash` for each user, as `htpasswd -B` writes it. It is read again when it changes.",
      ),
    users: z
      .record(userName(), passwordHash())
      .optional()
      .describe("The users and the hashes of their passwords. Either this or `file`."),
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
  .check((context) => {
    const { file, users } = context.value;
    if ((file === undefined) !== (users === undefined)) return;
    const message = file === undefined ? 'needs "file" or "users"' : 'has "file" and "users": give one of them';
    context.issues.push({ code: "custom", message, path: [], input: context.value });
  })
  .describe("Lets users pass who give their name and password (HTTP Basic, RFC 7617) and answers 401 to the others.");

/** Hashes are judged already. */
export type BasicAuthOptions = z.output<typeof basicAuthOptions>;
