// Checks that are equal and run at the same time are one, as far as their answer is everybody's.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ForwardAuthInput, ForwardAuthStage, LETS_GO } from "../../../test/support/forward-auth-stage.ts";

type DecisionInput = NonNullable<ForwardAuthInput["decisions"]>;

const ANN = "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n";
const NO = "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno";
const BY: DecisionInput = { for: "10s", by: ["header:authorization", "cookie:session"] };
const TOKEN = "Authorization: Bearer x\r\n";

describe("checks that are equal", () => {
  async function three(decisions: DecisionInput, lines: string, input: ForwardAuthInput = {}) {
    const stage = new ForwardAuthStage({ responseHeaders: ["x-user"], ...input, decisions });
    const clients = [0, 1, 2].map(() => stage.client(lines));
    await stage.settles();
    const { peer } = await stage.asked();
    return { stage, clients, peer };
  }

  it("are one call", async () => {
    const { stage, clients, peer } = await three(BY, TOKEN);
    await stage.asksNothing();
    peer.sends(ANN);
    await stage.settles();
    for (const client of clients) {
      assert.equal(stage.goesOn().get("x-user"), "ann");
      client.receives(/^HTTP\/1\.1 200 /);
    }
    await stage.finish();
  });

  it("are all refused by one answer", async () => {
    const { stage, clients, peer } = await three(BY, TOKEN);
    peer.sends(NO);
    await stage.settles();
    for (const client of clients) client.receives(/^HTTP\/1\.1 401 .*\r\n\r\nno$/s);
    await stage.stops();
    await stage.finish();
  });

  it("all fail when the service does", async () => {
    const { stage, clients, peer } = await three(BY, TOKEN);
    peer.sends("garbage\r\n\r\n");
    await stage.settles();
    for (const client of clients) client.receives(/^HTTP\/1\.1 503 /);
    await stage.stops();
    await stage.finish();
  });

  it("go on when the client leaves that was first, and end when all have left", async () => {
    const { stage, clients, peer } = await three(BY, TOKEN);
    clients[0]!.resets();
    clients[2]!.resets();
    await stage.settles();
    peer.staysOpen();
    peer.sends(ANN);
    await stage.settles();
    stage.goesOn();
    clients[1]!.receives(/^HTTP\/1\.1 200 /);
    await stage.finish();

    const all = await three(BY, TOKEN);
    for (const client of all.clients) client.resets();
    await all.stage.settles();
    assert.ok(all.peer.closed || all.peer.ended, "the call is given up");
    all.stage.client(TOKEN);
    await all.stage.answers(ANN);
    all.stage.goesOn();
    await all.stage.finish();
  });

  it("do not share an answer that sets cookies: each asks for itself", async () => {
    const { stage, clients, peer } = await three(BY, TOKEN);
    const login = (state: number) =>
      `HTTP/1.1 302 Found\r\nLocation: /login?state=${state}\r\nSet-Cookie: state=${state}\r\nContent-Length: 0\r\n\r\n`;
    peer.sends(login(0));
    await stage.settles();
    assert.equal(clients[0]!.receivesHead().get("set-cookie"), "state=0");
    for (const state of [1, 2]) {
      await stage.answers(login(state));
      assert.equal(clients[state]!.receivesHead().get("set-cookie"), `state=${state}`);
    }
    await stage.asksNothing();
    await stage.finish();
  });

  it("do not share what may not be stored, nor cookies for the client", async () => {
    for (const answer of ["Cache-Control: no-store\r\n", "Set-Cookie: session=1\r\n"]) {
      const { stage, peer } = await three(BY, TOKEN, { responseCookies: ["session"] });
      peer.sends(`HTTP/1.1 200 OK\r\n${answer}Content-Length: 0\r\n\r\n`);
      await stage.settles();
      stage.goesOn();
      for (let other = 0; other < 2; other++) await stage.answers(ANN);
      for (let other = 0; other < 2; other++) stage.goesOn();
      await stage.finish();
    }
  });

  it("are several without credentials, and without decisions that are kept", async () => {
    const { stage } = await three(BY, "");
    for (let other = 0; other < 2; other++) await stage.answers(ANN);
    stage.calls.passes(10_000);
    await stage.finish();

    const plain = new ForwardAuthStage();
    for (let client = 0; client < 3; client++) plain.client(TOKEN);
    for (let client = 0; client < 3; client++) await plain.answers(LETS_GO);
    await plain.finish();
  });
});
