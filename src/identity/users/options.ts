/** Options that say who the users are: by a file of `htpasswd`, or by name and hash in the configuration. */
import { z } from "zod";
import { filePath } from "../../core/option-files.ts";
import { textKind } from "../../core/option-types.ts";
import { explainUserName } from "../htpasswd.ts";
import { judgeHash, type PasswordHash } from "../password-hash.ts";

export const userName = textKind<string>({
  id: "userName",
  expected: "the name of a user",
  description: "The name of a user: any text without colons and control characters, at most 255 bytes.",
  pattern: "^[^:]+$",
  parse: (text) => (explainUserName(text) === null ? text : null),
  explain: explainUserName,
});

const passwordHash = textKind<PasswordHash>({
  id: "passwordHash",
  expected: "the hash of a password, made with `headgate user` or `htpasswd -B`",
  description: "The hash of a password: argon2id, as `headgate user` makes it, or bcrypt, as `htpasswd -B` does.",
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

/** `file` or `users`; `exactlyOne` sees that it is one of them. */
export const userFields = {
  file: filePath()
    .optional()
    .describe(
      "A file with a line `name:hash` for each user, as `headgate user` and `htpasswd -B` write it. It is read again when it changes.",
    ),
  users: z
    .record(userName(), passwordHash())
    .optional()
    .describe("The users and the hashes of their passwords. Either this or `file`."),
};

export function exactlyOne(context: z.core.ParsePayload<{ file?: string | undefined; users?: unknown }>): void {
  const { file, users } = context.value;
  if ((file === undefined) !== (users === undefined)) return;
  const message = file === undefined ? 'needs "file" or "users"' : 'has "file" and "users": give one of them';
  context.issues.push({ code: "custom", message, path: [], input: context.value });
}
