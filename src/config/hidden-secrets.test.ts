// What people put in the wrong place is often the secret itself: no message repeats it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const token = `token: { cookie: a, algorithm: HS512, key: ${SECRET} }`;
const session = 'session: { store: "redis://127.0.0.1", key: "{sid}" }';

const CASES: Readonly<Record<string, string>> = {
  "the key for its block": `credentials: { ${token}, ${session}, decrypt: "${SECRET}" }`,
  "a key for a list of keys": `credentials: { ${token}, ${session}, decrypt: { keys: ["${SECRET}"] } }`,
  "a token's key for the token": `credentials: { token: "${SECRET}", ${session}, decrypt: off }`,
  "a key of digits without quotes": `jwt: { bearer: true, algorithm: HS256, key: ${"12345678".repeat(5)} }`,
  "an API key for its block": `apiKey: "${SECRET}"`,
  "an API key in the list": `apiKey: { keys: ["${SECRET}"] }`,
  "a password for the users": `basicAuth: { users: "alice:${SECRET}" }`,
  "a token for jwt": `jwt: "${SECRET}"`,
  "a password with a slash in the URL of a service": `forwardAuth: { address: "http://u:a/${SECRET}@a/verify" }`,
  "a URL with a password that is none": `credentials: { ${token}, session: { store: "redis://u:${SECRET}@", key: "{sid}" }, decrypt: off }`,
};

describe("a secret in the wrong place", () => {
  for (const [name, feature] of Object.entries(CASES)) {
    it(`is not repeated: ${name}`, () => {
      const text = `servers: { web: { listen: ":1", use: [{ ${feature} }], proxy: "http://a" } }`;
      const result = parseConfig(text, { file: "headgate.yaml" });
      assert.ok(!result.ok, "it was taken");
      const told = result.problems.map(formatProblem).join("\n");
      assert.ok(!told.includes(SECRET.slice(0, 8)) && !told.includes("1.23456") && !told.includes("12345678"), told);
    });
  }
});
