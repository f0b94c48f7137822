// A client makes up the fields in which an authentication service tells the upstream who it is (GHSA-7r4p-vjf4-gxv4:
// where the service says nothing, the client's own word arrived). Whatever the spelling, the place and the way the
// decision was had, the upstream sees nothing of it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { ForwardAuthStage } from "../support/forward-auth-stage.ts";

const SPELLINGS = ["X-User", "x-user", "X_User", "x_user", "X.User", "X!USER"];
const SILENT = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const ANN = "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n";
const CREDENTIALS = "Authorization: Bearer x\r\n";

/** What an upstream that makes variables of names, as CGI does, believes of the user. */
function usersIn(fields: readonly (readonly [string, string])[]): string[] {
  return fields
    .filter(([name]) => name.replace(/[^A-Za-z0-9]/g, "_").toUpperCase() === "X_USER")
    .map(([, value]) => value);
}

for (const [form, responseHeaders] of [
  ["a name", ["X-User"]],
  ["a regular expression", ["/^x-user$/"]],
] as const) {
  describe(`identity fields by ${form}`, () => {
    for (const spelling of SPELLINGS) {
      for (const [says, answer, expected] of [
        ["says nothing", SILENT, []],
        ["says who it is", ANN, ["ann"]],
      ] as const) {
        it(`${spelling} is of no use when the service ${says}, asked or remembered`, async () => {
          const decisions = { for: "10s", by: ["header:authorization" as const] };
          const stage = new ForwardAuthStage({
            responseHeaders: [...responseHeaders],
            identityHeader: "x-user",
            decisions,
          });
          for (let round = 0; round < 2; round++) {
            stage.client(`${CREDENTIALS}${spelling}: admin\r\nX-Other: 1\r\n${spelling}: root\r\n`);
            if (round === 0) await stage.answers(answer);
            else await stage.asksNothing();
            const { fields } = stage.goesOn();
            assert.deepEqual(usersIn(fields), expected);
            assert.ok(fields.some(([name]) => name === "X-Other"));
            assert.equal(stage.proxy.ended[round]?.identity?.subject ?? null, expected[0] ?? null);
          }
          await stage.finish();
        });
      }
    }

    for (const forward of [false, true]) {
      const seen = forward ? ", also behind a body that the service sees first" : "";
      it(`in trailers, which an upstream may add to the fields, are of no use${seen}`, async () => {
        const stage = new ForwardAuthStage({ responseHeaders: [...responseHeaders], body: { forward } });
        const head = "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-User\r\nTransfer-Encoding: chunked\r\n\r\n";
        stage.proxy.connect().sends(`${head}1\r\na\r\n0\r\nX-User: admin\r\n\r\n`);
        await stage.answers(SILENT);
        stage.proxy.origin.accepts().receives(/\r\n\r\n1\r\na\r\n0\r\n\r\n$/);
        await stage.finish();
      });
    }

    it("that Connection names are the service's all the same", async () => {
      const stage = new ForwardAuthStage({ responseHeaders: [...responseHeaders] });
      stage.client("Connection: X-User\r\nX-User: admin\r\n");
      await stage.answers(ANN);
      assert.deepEqual(usersIn(stage.goesOn().fields), ["ann"]);
      await stage.finish();
    });
  });
}

describe("what the service is told", () => {
  it("of method, path, host, scheme and client is never the client's word", async () => {
    const stage = new ForwardAuthStage();
    const forged = ["Method: GET", "Uri: /public", "Host: public.example", "Proto: https", "For: 10.0.0.1"];
    const lines = forged
      .map((line) => `X-Forwarded-${line}\r\nX_Forwarded_${line}\r\nx.forwarded.${line}\r\n`)
      .join("");
    stage.client(lines, "DELETE /admin HTTP/1.1");
    const { fields } = await stage.answers(SILENT);
    stage.goesOn();
    const told = fields.filter(([name]) => /^x.forwarded/i.test(name));
    assert.equal(told.length, 5);
    assert.deepEqual(Object.fromEntries(told), {
      "X-Forwarded-For": "192.0.2.1",
      "X-Forwarded-Proto": "http",
      "X-Forwarded-Host": "example.org",
      "X-Forwarded-Method": "DELETE",
      "X-Forwarded-Uri": "/admin",
    });
    await stage.finish();
  });
});

describe("an identity", () => {
  it("that a feature in front has proved is not replaced by the service's silence", async () => {
    const front = {
      name: "front",
      request: (exchange: Exchange) => void Object.assign(exchange, { identity: { subject: "key-7", by: "front" } }),
    };
    const stage = new ForwardAuthStage({ identityHeader: "x-user" }, { use: [front] });
    stage.client("X-User: admin\r\n");
    await stage.answers(SILENT);
    stage.goesOn();
    assert.deepEqual(stage.proxy.ended[0]?.identity, { subject: "key-7", by: "front" });
    await stage.finish();
  });
});
