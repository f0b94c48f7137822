// One caller has been let in, and what is kept of that lets in another one (nginx-ldap-auth, issue 103: the answer was
// kept by the URL alone). Whatever is configured, who shows something else, or nothing, is asked about.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ForwardAuthInput, ForwardAuthStage } from "../support/forward-auth-stage.ts";

const LET_IN = "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n";
const REFUSED = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
const ANN = "Authorization: Basic YW5uOng=\r\nCookie: session=ann\r\n";

const others: readonly (readonly [name: string, lines: string])[] = [
  ["nobody", ""],
  ["somebody else", "Authorization: Basic ZXZlOng=\r\nCookie: session=eve\r\n"],
  ["somebody with one half of it", "Cookie: session=ann\r\n"],
  ["somebody with both, and one more", `${ANN}Authorization: Basic ZXZlOng=\r\n`],
  ["somebody who writes it into another field", "X-Authorization: Basic YW5uOng=\r\nX-Cookie: session=ann\r\n"],
  ["somebody who writes all of it into one field", "Authorization: Basic YW5uOng=ann\r\n"],
];

const kept: readonly (readonly [name: string, decisions: NonNullable<ForwardAuthInput["decisions"]>])[] = [
  ["everything that is sent", { for: "1h" }],
  ["two parts", { for: "1h", by: ["header:authorization", "cookie:session"] }],
  ["two parts of the caller", { for: "1h", by: ["header:authorization", "cookie:session"], each: "caller" }],
];

for (const [by, decisions] of kept) {
  describe(`a decision by ${by} lets in nobody but whom it is about, not`, () => {
    for (const [name, lines] of others) {
      it(name, async () => {
        const stage = new ForwardAuthStage({ responseHeaders: ["x-user"], decisions });
        stage.client(ANN);
        await stage.answers(LET_IN);
        assert.equal(stage.goesOn().get("x-user"), "ann");
        const other = stage.client(lines);
        await stage.answers(REFUSED);
        other.receives(/^HTTP\/1\.1 401 /);
        await stage.stops();
        // And the refusal costs the one who was let in nothing.
        stage.client(ANN);
        await stage.asksNothing();
        assert.equal(stage.goesOn().get("x-user"), "ann");
        await stage.finish();
      });

      it(`${name} who comes while the other one is asked about`, async () => {
        const stage = new ForwardAuthStage({ responseHeaders: ["x-user"], decisions });
        stage.client(ANN);
        const first = await stage.asked();
        const other = stage.client(lines);
        const second = await stage.asked();
        first.peer.sends(LET_IN);
        second.peer.sends(REFUSED);
        await stage.settles();
        assert.equal(stage.goesOn().get("x-user"), "ann");
        other.receives(/^HTTP\/1\.1 401 /);
        await stage.stops();
        await stage.finish();
      });
    }
  });
}
