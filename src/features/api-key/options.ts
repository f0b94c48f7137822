/** Options of `apiKey`: which keys there are, where requests have theirs, and what the upstream learns. */
import { z } from "zod";
import { filePath } from "../../core/option-files.ts";
import { oneOrMore, settableFieldName, TOKEN, textKind } from "../../core/option-types.ts";
import { explainKeyDigest, parseKeyDigest } from "../../identity/api-keys.ts";
import { explainUserName } from "../../identity/htpasswd.ts";
import { failedAttempts, realm } from "../../identity/options.ts";

/** Where a request has its key. Names of fields are in lower case, those of parameters decoded. */
export type KeyPlace =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "bearer" }
  | { readonly kind: "query"; readonly name: string };

/** Bearer is how Authorization has a key; cookies are sent by browsers on behalf of others. */
const NO_PLACE = new Set(["authorization", "cookie", "host", "connection", "content-length", "transfer-encoding"]);

export function parseKeyPlace(text: string): KeyPlace | null {
  if (text === "bearer") return { kind: "bearer" };
  const [, kind, name = ""] = /^(header|query):(.+)$/.exec(text) ?? [];
  if (kind === "query") return { kind, name };
  if (kind !== "header" || !TOKEN.test(name) || NO_PLACE.has(name.toLowerCase())) return null;
  return { kind, name: name.toLowerCase() };
}

const keyPlace = textKind<KeyPlace>({
  id: "keyPlace",
  expected: "header:NAME, bearer or query:NAME",
  description:
    "Where a request has its key: `header:NAME`, `bearer` (`Authorization: Bearer KEY`) or `query:NAME` (a parameter of the query).",
  parse: parseKeyPlace,
});

const keyName = textKind<string>({
  id: "keyName",
  expected: "the name of a key",
  description: "The name of a key: any text without colons and control characters, at most 255 bytes.",
  parse: (text) => (explainUserName(text) === null ? text : null),
  explain: explainUserName,
});

const keyDigest = textKind<string>({
  id: "keyDigest",
  expected: "the SHA-256 of a key",
  description: "The SHA-256 of a key: 64 hexadecimal digits.",
  isSecret: true,
  parse: parseKeyDigest,
  explain: explainKeyDigest,
});

const key = z.strictObject({
  name: keyName().describe("Whose key it is: for the log, and for `nameHeader`."),
  sha256: keyDigest().describe("The SHA-256 of the key, as `headgate api-key NAME` prints it. Never the key itself."),
});

export const apiKeyOptions = z
  .strictObject({
    file: filePath()
      .optional()
      .describe(
        "A file with a line `name:sha256` for each key, as `headgate api-key NAME` prints it. It is read again when it changes.",
      ),
    keys: z.array(key).min(1).optional().describe("The keys. Either this or `file`."),
    from: oneOrMore(keyPlace())
      .prefault("header:x-api-key")
      .describe(
        "Where requests have their key: `header:NAME`, `bearer`, `query:NAME`, or a list of them, of which a request uses one.",
      ),
    realm: realm(),
    forward: z
      .boolean()
      .default(false)
      .describe("`true`: the upstream gets the key too. Otherwise it is removed, also from the query."),
    nameHeader: settableFieldName()
      .optional()
      .describe("A field that tells the upstream the key's name. What the client sent under this name is removed."),
    failedAttempts: failedAttempts(),
  })
  .check((context) => {
    const { file, keys } = context.value;
    const fail = (message: string, path: PropertyKey[] = []): void => {
      context.issues.push({ code: "custom", message, path, input: context.value });
    };
    if (file === undefined && keys === undefined) fail('needs "file" or "keys"');
    if (file !== undefined && keys !== undefined) fail('has "file" and "keys": give one of them');
    for (const [index, { name, sha256 }] of (keys ?? []).entries()) {
      const before = keys!.slice(0, index);
      if (before.some((other) => other.name === name)) fail("another key has this name", ["keys", index, "name"]);
      if (before.some((other) => other.sha256 === sha256)) fail("another name has this key", ["keys", index, "sha256"]);
    }
  })
  .describe("Lets requests pass that have a key, in a header field or in the query, and answers 401 to the others.");

export type ApiKeyOptions = z.output<typeof apiKeyOptions>;
