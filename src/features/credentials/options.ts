/**
 * Options of `credentials`: the token, the session that it names, and how the credentials of that session reach the
 * upstream.
 */
import { z } from "zod";
import { settableFieldName, textKind } from "../../core/option-types.ts";
import { envelopeKeys, failedAttempts, realm } from "../../identity/options.ts";
import { storeReference } from "../../identity/stores/options.ts";
import { resolveTokens, tokenFields } from "../../identity/tokens/options.ts";

/** Text, and claims whose values stand in it. */
export type KeyTemplate = readonly (string | { readonly claim: string })[];

const CLAIM = /\{([^{}]+)\}/;

function explainTemplate(text: string): string | null {
  const outside = text.split(CLAIM).filter((_, index) => index % 2 === 0);
  if (outside.some((part) => /[{}]/.test(part))) return "braces stand around the name of a claim, as in {sid}";
  if (outside.length === 1) return "names no claim: all tokens would have one session";
  if (outside.slice(1, -1).includes(""))
    return "has two claims without text between them: two sessions could have one key";
  return null;
}

const keyTemplate = textKind<KeyTemplate>({
  id: "keyTemplate",
  expected: "a key with claims in braces such as {sid}",
  description: "The key of a session: text with claims of the token in braces, such as `{sid}` or `session:{sub}`.",
  parse: (text) => {
    if (explainTemplate(text) !== null) return null;
    const parts = text.split(CLAIM).map((part, index) => (index % 2 === 0 ? part : { claim: part }));
    return parts.filter((part) => part !== "");
  },
  explain: explainTemplate,
});

const memberName = z.string().min(1);

/** How the credentials are written into the request. */
export type Injection =
  | { readonly kind: "basic" }
  | { readonly kind: "bearer" }
  | { readonly kind: "headers"; readonly headers: readonly (readonly [field: string, member: string])[] };

const injection = z.union([
  z.enum(["basic", "bearer"]).transform((kind): Injection => ({ kind })),
  z
    .strictObject({
      headers: z
        .record(settableFieldName(), memberName)
        .refine((headers) => Object.keys(headers).length > 0, { error: "names no field" })
        .describe(
          "Fields, each with the member of the decrypted JSON object that is its value: `{ x-api-key: apiKey }`.",
        ),
    })
    .transform(({ headers }): Injection => ({ kind: "headers", headers: Object.entries(headers) })),
]);

export const credentialsOptions = z
  .strictObject({
    token: z
      .strictObject(tokenFields(false))
      .meta({ id: "credentialsToken" })
      .transform(resolveTokens)
      .describe("Where the token is, and when it is good."),
    session: z
      .strictObject({
        store: storeReference().describe("The store that has the sessions: a name in `stores`, or a URL."),
        key: keyTemplate().prefault("{sid}").describe("The key of a token's session, with its claims in braces."),
      })
      .describe("Where the session of a token is."),
    decrypt: z
      .union([z.literal("off").transform((): null => null), envelopeKeys()])
      .describe(
        "The key by which the credentials were encrypted: `{ algorithm, key }`, or `{ keys: [...] }` for several. `off`: they lie in the store as they are.",
      ),
    inject: injection
      .prefault("basic")
      .describe(
        "How the upstream gets them. `basic`: `Authorization: Basic`, of `user:password`. `bearer`: `Authorization: Bearer`. `{ headers: ... }`: as fields of any name. What the client sent in these fields is always removed.",
      ),
    realm: realm(),
    failedAttempts: failedAttempts(),
  })
  .describe(
    "Turns the token of a session into the credentials that the upstream asks for: verifies the token, looks its session up in a store, decrypts the credentials and adds them to the request.",
  );

export type CredentialsOptions = z.output<typeof credentialsOptions>;
