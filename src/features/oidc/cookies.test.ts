import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { FieldBlock } from "../../core/fields.ts";
import {
  attemptCookieName,
  COOKIE_BYTES_MAX,
  COOKIE_PARTS_MAX,
  prefixedName,
  setCookie,
  splitValue,
  takeCookies,
} from "./cookies.ts";

const PLAIN = { domain: null, path: "/", sameSite: "lax", secure: false } as const;

function taken(header: string | readonly string[], sessionName = "headgate") {
  const fields = FieldBlock.from([header].flat().map((line) => ["Cookie", line] as const));
  const cookies = takeCookies(fields, "headgate", sessionName);
  const left = fields.get("cookie");
  fields.release();
  return { session: cookies.session, attempts: [...cookies.attempts], names: [...cookies.sessionNames], left };
}

describe("the cookies of a login", () => {
  const table: readonly (readonly [header: string, session: string | null, left: string | null])[] = [
    ["headgate=1.abc", "abc", null],
    ["a=b; headgate=1.abc; c=d", "abc", "a=b; c=d"],
    ["headgate.1=def; headgate=2.abc", "abcdef", null],
    ["headgate=2.abc", null, null],
    ["headgate=2.abc; headgate.2=x", null, null],
    ["headgate=1.abc; headgate.1=stale", "abc", null],
    ["headgate=0.abc", null, null],
    [`headgate=${COOKIE_PARTS_MAX + 1}.abc`, null, null],
    ["headgate=abc", null, null],
    ["headgate=", null, null],
    ["headgate", null, "headgate"],
    ["headgate=1.a; headgate=1.b", null, null],
    ["headgate=1.a; headgate=1.a", "a", null],
    [
      "headgateway=1; xheadgate=2; headgate.x=3; headgate.10=4",
      null,
      "headgateway=1; xheadgate=2; headgate.x=3; headgate.10=4",
    ],
    ["__Host-headgate=1.abc; x=y", null, "x=y"],
    ["  headgate=1.abc ;; ; a=b ", "abc", "a=b"],
    ["headgate=1.abc;a=b", "abc", "a=b"],
    ["headgate=1.abc\t; a=b", "abc", "a=b"],
    ["a=b;headgate=1.abc;c=d; e=f", "abc", "a=b; c=d; e=f"],
    ["a=voil\xc3\xa0; headgate=2.abc; headgate.1=def;\xa0b=c", "abcdef", "a=voil\xc3\xa0; \xa0b=c"],
    ["a=headgate", null, "a=headgate"],
    ["", null, ""],
  ];
  for (const [header, session, left] of table) {
    it(`are found in ${JSON.stringify(header)}`, () => {
      const found = taken(header);
      assert.deepEqual([found.session, found.left], [session, left]);
    });
  }

  it("count under the name with the right prefix alone, and go in any case", () => {
    const header = "headgate=1.plain; __Host-headgate=1.host; __Secure-headgate=1.secure";
    assert.deepEqual(taken(header, "__Host-headgate"), {
      session: "host",
      attempts: [],
      names: ["__Host-headgate"],
      left: null,
    });
  });

  it("are taken from all lines", () => {
    assert.deepEqual(taken(["a=1; headgate=2.x", "headgate.1=y; b=2"]), {
      session: "xy",
      attempts: [],
      names: ["headgate", "headgate.1"],
      left: "a=1; b=2",
    });
  });

  it("of attempts are known by their ids, those of this host alone", () => {
    const header = "__Host-headgate-login-1-a=x; headgate-login-2-b=y; __Secure-headgate-login-3-c=z; k=v";
    for (const sessionName of ["__Host-headgate", "__Secure-headgate"]) {
      const found = taken(header, sessionName);
      assert.deepEqual([found.attempts, found.left], [[["1-a", "x"]], "k=v"]);
      assert.equal(attemptCookieName(sessionName, "1-a"), "__Host-headgate-login-1-a");
    }
    assert.deepEqual(taken(header).attempts, [["2-b", "y"]]);
    assert.deepEqual(taken("headgate-login-1-a=x; headgate-login-1-a=y").attempts, [["1-a", ""]]);
  });

  it("hold any value in as many parts as it needs, however they are mixed with others", () => {
    const value = fc
      .array(fc.constantFrom(..."ABCxyz019-_"), { minLength: 1, maxLength: 12 })
      .map((letters) => letters.join(""));
    const others = fc.array(fc.constantFrom("a=b", "c=", "headgateway=1", "x=y=z"), { maxLength: 4 });
    fc.assert(
      fc.property(value, fc.integer({ min: 1, max: 20_000 }), others, fc.boolean(), (text, length, more, isMixed) => {
        const long = text.repeat(Math.ceil(length / text.length)).slice(0, length);
        const parts = splitValue("headgate", long);
        if (parts === null) return length > (COOKIE_BYTES_MAX - 20) * (COOKIE_PARTS_MAX - 1);
        for (const [name, part] of parts) assert.ok(name.length + 1 + part.length <= COOKIE_BYTES_MAX);
        const pairs = parts.map(([name, part]) => `${name}=${part}`);
        const all = isMixed ? [...more, ...pairs.reverse()] : [...pairs, ...more];
        const found = taken(all.join("; "));
        assert.equal(found.session, long);
        assert.equal(found.left, more.length === 0 ? null : more.join("; "));
        return true;
      }),
      { seed, numRuns: 300 },
    );
  });

  it(`survive whatever a client sends (${replayHint})`, () => {
    const piece = fc.constantFrom(...'headgate=1.;_- \t"%', "headgate", "__Host-", "-login-", "=", ";", ".1");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const header = pieces.join("").trim();
        const { left, session } = taken(header);
        assert.ok(session === null || header.includes(session));
        // Taken once, nothing of ours is left.
        if (left !== null) assert.equal(taken(left).left, left);
      }),
      { seed, numRuns: 2000 },
    );
  });

  it("are set with what browsers must know", () => {
    const secure = { ...PLAIN, secure: true };
    assert.equal(setCookie("a", "b", PLAIN, null), "a=b; Path=/; HttpOnly; SameSite=Lax");
    assert.equal(
      setCookie("a", "b", { domain: "example.org", path: "/app", sameSite: "none", secure: true }, 60),
      "a=b; Domain=example.org; Path=/app; Max-Age=60; HttpOnly; Secure; SameSite=None",
    );
    assert.equal(prefixedName("a", PLAIN), "a");
    assert.equal(prefixedName("a", secure), "__Host-a");
    assert.equal(prefixedName("a", { ...secure, path: "/app" }), "__Secure-a");
    assert.equal(prefixedName("a", { ...secure, domain: "example.org" }), "__Secure-a");
  });
});
