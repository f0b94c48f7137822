// Decisions that are kept, and checks that are one: never the answer about one caller for another one.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ForwardAuthInput, ForwardAuthStage } from "../../../test/support/forward-auth-stage.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import { DeadlineWheel } from "../../core/deadlines.ts";
import { FieldBlock } from "../../core/fields.ts";
import type { HttpAnswerHandler, HttpCall } from "../../core/ports.ts";
import { SeededRandom, VirtualClock } from "../../testing/index.ts";
import { Decisions } from "./decisions.ts";
import { createForwardAuthFeature } from "./index.ts";
import { forwardAuthOptions } from "./options.ts";

type DecisionInput = NonNullable<ForwardAuthInput["decisions"]>;

const ANN = "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n";
const NO = "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno";

function stageWith(decisions: DecisionInput, input: ForwardAuthInput = {}) {
  return new ForwardAuthStage({ responseHeaders: ["x-user"], identityHeader: "x-user", ...input, decisions });
}

/** Whether the second request passes by the decision about the first. */
async function isShared(decisions: DecisionInput, first: string, second: string, starts: readonly string[] = []) {
  const stage = stageWith(decisions);
  stage.client(first, starts[0]);
  await stage.answers(ANN);
  assert.equal(stage.goesOn().get("x-user"), "ann");
  stage.client(`${second}X-User: eve\r\n`, starts[1]);
  await stage.settles();
  let shared = true;
  try {
    await stage.asksNothing();
    assert.equal(stage.goesOn().get("x-user"), "ann");
    assert.deepEqual(stage.proxy.ended[1]?.identity, { subject: "ann", by: "forwardAuth" });
  } catch {
    shared = false;
    await stage.answers(ANN.replace("ann", "other"));
    assert.equal(stage.goesOn().get("x-user"), "other");
  }
  await stage.finish();
  return shared;
}

const BY: DecisionInput = { for: "10s", by: ["header:authorization", "cookie:session"] };
const TOKEN = "Authorization: Bearer x\r\n";

describe("a decision", () => {
  it("is not that of a request whose fields only look the same when they are joined", async () => {
    const by: DecisionInput = { for: "10s", by: ["header:x-key", "cookie:s"] };
    assert.equal(await isShared(by, "X-Key: A, B\r\n", "X-Key: A\r\nX-Key: B\r\n"), false);
    assert.equal(await isShared(by, "Cookie: s=1\r\n", "Cookie: s=1\xa0\r\n"), false);
    assert.equal(await isShared(by, "Cookie: s=1\r\n", "Cookie: a=2;  s=1 \r\n"), true);
  });

  it("is kept for its time, and the request then waits for nothing", async () => {
    const stage = stageWith({ for: "10s", by: ["header:authorization"] });
    stage.client(TOKEN);
    await stage.answers(ANN);
    stage.goesOn();
    stage.calls.passes(9_000);
    stage.client(`${TOKEN}X-User: eve\r\nX_User: eve\r\n`);
    // Without a turn of the loop: nothing was waited for.
    const head = stage.goesOn();
    assert.deepEqual([head.get("x-user"), head.get("x_user")], ["ann", null]);
    stage.calls.passes(1_200);
    stage.client(TOKEN);
    await stage.answers(NO);
    await stage.stops();
    await stage.finish();
  });

  const cases: readonly (readonly [
    name: string,
    by: DecisionInput,
    first: string,
    second: string,
    isShared: boolean,
  ])[] = [
    ["of the same header", BY, TOKEN, TOKEN, true],
    ["of the same cookie among others", BY, "Cookie: session=1; a=b\r\n", "Cookie: c=d; session=1\r\n", true],
    ["of another header's value", BY, TOKEN, "Authorization: Bearer y\r\n", false],
    ["of another cookie's value", BY, "Cookie: session=1\r\n", "Cookie: session=2\r\n", false],
    ["of a value with another case", BY, "Cookie: session=a\r\n", "Cookie: session=A\r\n", false],
    ["of nobody", BY, "", "", false],
    ["of a cookie without value", BY, "Cookie: session=\r\n", "Cookie: session=\r\n", false],
    ["of a header without value", BY, "Authorization:\r\n", "Authorization:\r\n", false],
    ["of everything, with empty credentials", { for: "10s" }, "Cookie:\r\n", "Cookie:\r\n", false],
    ["of an empty header", { for: "10s", by: ["header:x-key"] }, "", "X-Key:\r\n", false],
    // Joined without an end, these are the same text.
    [
      "of parts that join to the same text",
      BY,
      "Authorization: ab\r\nCookie: session=c\r\n",
      "Authorization: a\r\nCookie: session=bc\r\n",
      false,
    ],
    ["of a part that is there instead of another one", BY, "Authorization: 1\r\n", "Cookie: session=1\r\n", false],
    [
      "of a part that imitates the next one",
      BY,
      "Authorization: 1;1:2\r\n",
      "Authorization: 1\r\nCookie: session=2\r\n",
      false,
    ],
    ["of a cookie that stands there twice", BY, "Cookie: session=1\r\n", "Cookie: session=1; session=2\r\n", false],
    ["of two lines of cookies", BY, "Cookie: session=1\r\n", "Cookie: session=1\r\nCookie: session=2\r\n", false],
    ["of a header that stands there twice", BY, TOKEN, `${TOKEN}${TOKEN}`, false],
    ["of a cookie whose name only looks alike", BY, "Cookie: session=1\r\n", "Cookie: Session=1\r\n", false],
    ["of the same client alone", { for: "10s", by: ["client"] }, "", "", false],
    ["of everything that is sent", { for: "10s" }, `${TOKEN}A: 1\r\n`, `${TOKEN}A: 1\r\n`, true],
    ["of everything, with another field", { for: "10s" }, `${TOKEN}A: 1\r\n`, `${TOKEN}A: 2\r\n`, false],
    ["of everything, with one field less", { for: "10s" }, `${TOKEN}A: 1\r\n`, TOKEN, false],
    ["of everything, with a field cut in two", { for: "10s" }, `${TOKEN}A: 1\r\n`, `${TOKEN}A:\r\nB: 1\r\n`, false],
    ["of everything, without credentials", { for: "10s" }, "A: 1\r\n", "A: 1\r\n", false],
  ];
  for (const [name, by, first, second, expected] of cases) {
    it(`${name} is ${expected ? "" : "not "}used again`, async () => {
      // The second request of a pair has one more line, which counts where everything does.
      const extra = by.by === undefined ? "X-User: eve\r\n" : "";
      assert.equal(await isShared(by, `${first}${extra}`, second), expected);
    });
  }

  for (const [what, one, other] of [
    ["path", "GET /app HTTP/1.1", "GET /admin HTTP/1.1"],
    ["query", "GET /app?a HTTP/1.1", "GET /app HTTP/1.1"],
    ["method", "GET /app HTTP/1.1", "DELETE /app HTTP/1.1"],
  ] as const) {
    it(`about one ${what} is none about another, unless callers alone count`, async () => {
      assert.equal(await isShared(BY, TOKEN, TOKEN, [one, other]), false);
      assert.equal(await isShared({ ...BY, each: "caller" }, TOKEN, TOKEN, [one, other]), true);
      assert.equal(await isShared({ for: "10s" }, `${TOKEN}X-User: eve\r\n`, TOKEN, [one, other]), false);
    });
  }

  it("about one host is none about another", async () => {
    const stage = stageWith(BY);
    stage.client(TOKEN);
    await stage.answers(ANN);
    stage.goesOn();
    stage.proxy.connect().sends(`GET /app?a=b HTTP/1.1\r\nHost: other.example.org\r\n${TOKEN}\r\n`);
    await stage.answers(NO);
    await stage.stops();
    await stage.finish();
  });

  it("about one client is none about another where the client counts", async () => {
    for (const [by, isKept] of [
      [["header:authorization", "client"], false],
      [["header:authorization"], true],
    ] as const) {
      const stage = stageWith({ for: "10s", by: [...by] });
      stage.client(TOKEN);
      await stage.answers(ANN);
      stage.goesOn();
      stage.proxy.connect({ from: "192.0.2.99" }).sends(`GET /app?a=b HTTP/1.1\r\nHost: example.org\r\n${TOKEN}\r\n`);
      if (isKept) await stage.asksNothing();
      else await stage.answers(ANN);
      stage.goesOn();
      await stage.finish();
    }
  });

  const notKept: readonly (readonly [what: string, fields: string, input: ForwardAuthInput])[] = [
    ["no-store", "Cache-Control: private, no-store\r\n", {}],
    ["no-cache", "Cache-Control: No-Cache\r\n", {}],
    ["no-cache with fields", 'Cache-Control: no-cache="x-user"\r\n', {}],
    ["max-age=0", "Cache-Control: max-age=0\r\n", {}],
    ["a cookie for the client", "Set-Cookie: session=2\r\n", { responseCookies: ["session"] }],
    ["more fields than are worth keeping", `X-User: ${"x".repeat(5000)}\r\n`, {}],
  ];
  for (const [what, fields, input] of notKept) {
    it(`is not kept with ${what}`, async () => {
      const stage = stageWith(BY, input);
      for (let round = 0; round < 2; round++) {
        stage.client(TOKEN);
        await stage.answers(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`);
        stage.goesOn();
      }
      await stage.finish();
    });
  }

  it("is kept for as long as the service says, when that is shorter", async () => {
    const stage = stageWith(BY);
    stage.client(TOKEN);
    await stage.answers("HTTP/1.1 204 No\r\nCache-Control: private, max-age=2\r\n\r\n");
    stage.goesOn();
    stage.calls.passes(1_500);
    stage.client(TOKEN);
    await stage.asksNothing();
    stage.goesOn();
    stage.calls.passes(1_000);
    stage.client(TOKEN);
    await stage.answers(NO);
    await stage.finish();
  });

  it("that refuses is never kept: who has logged in meanwhile passes", async () => {
    const stage = stageWith(BY);
    stage.client(TOKEN);
    await stage.answers(NO);
    stage.client(TOKEN);
    await stage.answers(ANN);
    stage.goesOn();
    await stage.finish();
  });

  it("about a body that was sent along is not kept", async () => {
    const stage = stageWith(BY, { body: { forward: true } });
    for (let round = 0; round < 2; round++) {
      const client = stage.client(`${TOKEN}Content-Length: 1\r\n\r\nx`, "POST / HTTP/1.1");
      const { peer } = await stage.asked();
      peer.receives("x");
      peer.sends(ANN);
      await stage.settles();
      stage.goesOn();
      client.takes();
    }
    await stage.finish();
  });
});

describe("the memory of decisions", () => {
  const decision = { lines: [], cookies: [], subject: null, bytes: 0, encoded: null };

  function memory(options: DecisionInput = { for: "10s", by: ["header:authorization"] }) {
    const clock = new VirtualClock();
    const parsed = forwardAuthOptions.parse({ address: "http://auth/", decisions: options }).decisions!;
    const deadlines = new DeadlineWheel(clock);
    return { clock, deadlines, decisions: new Decisions(parsed, deadlines) };
  }

  it("has an end: the oldest make room", () => {
    const { decisions } = memory();
    for (let i = 0; i < 20_000; i++) decisions.keep(`key ${i}`, decision, Number.POSITIVE_INFINITY);
    assert.equal(decisions.size, 16_384);
    assert.equal(decisions.find("key 3615"), null);
    assert.ok(decisions.find("key 3616") !== null);
  });

  it("is empty when their time is over, though nobody asks", () => {
    const { clock, deadlines, decisions } = memory();
    for (let i = 0; i < 100; i++) {
      decisions.keep(`key ${i}`, decision, i % 2 === 0 ? Number.POSITIVE_INFINITY : 500);
      clock.advance(100);
    }
    assert.ok(decisions.size > 0);
    clock.advance(21_000);
    assert.equal(decisions.size, 0);
    clock.advance(60_000);
    assert.equal(deadlines.size, 0, "no deadline is left");
  });

  it("has no value that a caller showed, and keys that another thread cannot know", () => {
    const exchange = new StandInExchange({ fields: [["Authorization", "Bearer secret"]] });
    const one = memory().decisions.keyOf(exchange, null);
    const other = memory().decisions.keyOf(exchange, null);
    assert.match(one!, /^[A-Za-z0-9+/]{43}=$/);
    assert.notEqual(one, other);
    const byQuestion = memory({ for: "1s" });
    assert.ok(byQuestion.decisions.byQuestion);
    assert.match(
      byQuestion.decisions.keyOf(exchange, FieldBlock.from([["Cookie", "secret"]]))!,
      /^[A-Za-z0-9+/]{43}=$/,
    );
  });
});

// A model: two callers are the same if all values that the key is made of are. Whatever the values, a request that
// passes without a question must have been asked about before, by itself.
describe("requests by chance", () => {
  for (const by of [
    ["header:authorization", "cookie:session"],
    ["cookie:a", "header:x", "client"],
    undefined,
  ] as const) {
    it(`never pass by another's decision, by ${by?.join(" and ") ?? "everything"}`, () => {
      const random = new SeededRandom(seed);
      const pick = <T>(items: readonly T[]): T => items[Math.floor(random.next() * items.length)]!;
      const value = () =>
        Array.from({ length: Math.floor(random.next() * 4) }, () => pick([..."ab1:;,= -"]))
          .join("")
          .trim();
      let asked = 0;
      const http = {
        send(call: HttpCall, handler: HttpAnswerHandler) {
          asked++;
          call.fields.release();
          const fields = FieldBlock.from([["X-User", String(asked)]]);
          handler.onAnswer({ status: 200, fields, body: Buffer.alloc(0) });
          return { cancel() {} };
        },
      };
      const options = forwardAuthOptions.parse({
        address: "http://auth/",
        identityHeader: "x-user",
        decisions: { for: "1h", ...(by === undefined ? {} : { by: [...by] }) },
      });
      const feature = createForwardAuthFeature(options, { http, deadlines: new DeadlineWheel(new VirtualClock()) });
      /** Who was asked about, by everything that there is to a request. */
      const known = new Map<string, string>();
      let hits = 0;
      for (let i = 0; i < 3_000; i++) {
        const lines: [string, string][] = [];
        for (const name of ["Authorization", "X", "Cookie"]) {
          if (random.chance(0.4)) continue;
          lines.push([
            name,
            name === "Cookie"
              ? `${pick(["a", "session", "b"])}=${value()}; ${pick(["a", "session"])}=${value()}`
              : value(),
          ]);
        }
        const clientAddress = pick(["192.0.2.1", "192.0.2.2"]);
        const target = pick(["/", "/a"]);
        const exchange = new StandInExchange({ fields: lines, clientAddress, target });
        const values = (by ?? ["all"]).map((part) => {
          if (part === "client") return clientAddress;
          if (part === "all") return JSON.stringify(lines);
          const [kind, name = ""] = part.split(":");
          if (kind === "header") return exchange.request.fields.getAll(name);
          const pairs = (exchange.request.fields.get("cookie") ?? "").split(";").map((pair) => pair.split(/=(.*)/s));
          return pairs
            .filter(([key, cookie]) => cookie !== undefined && key?.trim() === name)
            .map((pair) => pair[1]?.trim());
        });
        const who = JSON.stringify([target, ...values]);
        const before = asked;
        void feature.request!(exchange);
        const { subject } = exchange.identity!;
        if (asked === before) {
          hits++;
          assert.equal(known.get(who), subject, `${who}, ${replayHint}`);
        } else known.set(who, subject);
      }
      assert.ok(hits > 0 && asked > 0, replayHint);
    });
  }
});
