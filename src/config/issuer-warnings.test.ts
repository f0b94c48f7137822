// Keys that may sign what another issuer says are warned of.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

function warnings(use: string): readonly string[] {
  const text = `servers: { web: { listen: ":1", use: [${use}], proxy: "http://a" } }`;
  const result = parseConfig(text, { file: "f.yaml" });
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  return result.warnings.map(formatProblem);
}

const own = (letter: string) =>
  `{ issuer: "https://${letter}", algorithm: RS256, jwks: "https://${letter}.example/keys" }`;
const anybodys = '{ algorithm: RS256, jwks: "https://c.example/keys" }';
const issuers = 'issuer: ["https://a", "https://b"]';

describe("keys of several issuers", () => {
  it("are warned of where they do not say whose they are, by every feature that takes tokens", () => {
    const token = `${issuers}, keys: [${own("a")}, ${anybodys}]`;
    const credentials = `credentials: { token: { ${token} }, session: { store: "redis://127.0.0.1" }, decrypt: off }`;
    for (const [use, place] of [
      [`{ jwt: { ${token} } }`, "jwt"],
      [`{ ${credentials} }`, "credentials.token"],
    ] as const) {
      const [warning, ...more] = warnings(use);
      const says = `servers.web.use[0].${place}.keys[1]: may sign tokens of every issuer: name its own by "issuer" here`;
      assert.equal(warning?.replace(/^f[.]yaml:1:[0-9]+: /, ""), says);
      assert.deepEqual(more, []);
    }
  });

  it("are warned of where only some say whose they are, and nothing else does", () => {
    const [warning, ...more] = warnings(`{ jwt: { keys: [${own("a")}, ${anybodys}] } }`);
    assert.match(warning ?? "", /keys\[1\]: may sign tokens of every issuer/);
    assert.deepEqual(more, []);
    assert.deepEqual(warnings(`{ jwt: { issuer: "https://a", keys: [${own("a")}, ${anybodys}] } }`), []);
  });

  for (const [title, token] of [
    ["that say whose they are", `${issuers}, keys: [${own("a")}, ${own("b")}]`],
    ["of one issuer", `issuer: "https://a", keys: [${anybodys}, ${anybodys}]`],
    ["of nobody in particular", `keys: [${anybodys}, ${anybodys}]`],
    ["that are one key", `${issuers}, algorithm: RS256, jwks: "https://c.example/keys"`],
  ] as const) {
    it(`are not, ${title}`, () => assert.deepEqual(warnings(`{ jwt: { ${token} } }`), []));
  }
});
