import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Line, StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import type { TokenPlace } from "./options.ts";
import { type FoundToken, TokenPlaces } from "./places.ts";

function taken(
  places: readonly TokenPlace[],
  fields: readonly Line[],
  { target = "/", forward = false }: { target?: string; forward?: boolean } = {},
) {
  const exchange = new StandInExchange({ fields, target });
  const found: FoundToken = new TokenPlaces(places, forward).take(exchange.request);
  return { found, lines: exchange.requestLines, target: exchange.request.target };
}

describe("the token in a cookie", () => {
  const place: TokenPlace = { kind: "cookie", name: "Authorization" };
  const table: readonly (readonly [cookie: string, token: FoundToken, rest: string | null])[] = [
    ["Authorization=T", "T", null],
    ["Authorization=T; a=1", "T", "a=1"],
    ["a=1; Authorization=T", "T", "a=1"],
    ["a=1; Authorization=T; b=2", "T", "a=1; b=2"],
    ["a=1;Authorization=T;b=2", "T", "a=1;b=2"],
    ['a="x y"; Authorization="T"; c', "T", 'a="x y"; c'],
    ["  a=1;  Authorization = T ;  b=2", "T", "a=1;  b=2"],
    ["Authorization=a=b==; c=d", "a=b==", "c=d"],
    ["authorization=T", null, "authorization=T"],
    ["XAuthorization=T; Authorizations=U", null, "XAuthorization=T; Authorizations=U"],
    ["a=Authorization=T", null, "a=Authorization=T"],
    ["Authorization", null, "Authorization"],
    ["Authorization=", null, "Authorization="],
    ["Authorization=; a=1", null, "Authorization=; a=1"],
    ['Authorization=""', null, 'Authorization=""'],
    [";;; Authorization=T;;", "T", ";;; "],
    ["Authorization=T; Authorization=T", undefined, "Authorization=T; Authorization=T"],
    ["Authorization=T; a=1; Authorization =U", undefined, "Authorization=T; a=1; Authorization =U"],
  ];
  for (const [cookie, token, rest] of table) {
    it(JSON.stringify(cookie), () => {
      const { found, lines } = taken(
        [place],
        [
          ["Accept", "*/*"],
          ["Cookie", cookie],
          ["X-Last", "1"],
        ],
      );
      assert.equal(found, token);
      const left = lines.filter(([name]) => name === "Cookie").map(([, value]) => value.trim());
      assert.deepEqual(left, rest === null ? [] : [rest.trim()]);
      assert.deepEqual(
        lines.filter(([name]) => name !== "Cookie").map(([name]) => name),
        ["Accept", "X-Last"],
      );
    });
  }

  it("may stand on any of several lines, and stays when it is forwarded", () => {
    const fields: Line[] = [
      ["Cookie", "a=1"],
      ["Cookie", "b=2; Authorization=T"],
    ];
    assert.deepEqual(taken([place], fields).lines, [
      ["Cookie", "a=1"],
      ["Cookie", "b=2"],
    ]);
    assert.deepEqual(taken([place], fields, { forward: true }), { found: "T", lines: fields, target: "/" });
    assert.equal(taken([place], [...fields, ["Cookie", "Authorization=T"]]).found, undefined);
  });

  it("leaves all other cookies byte for byte", () => {
    const character = fc.constantFrom(...'ab="\\ ,é%AuthorizationT');
    const other = fc
      .string({ unit: character, minLength: 1, maxLength: 20 })
      .filter((text) => !/^\s*Authorization\s*=/.test(text) && text.trim() === text);
    const property = fc.property(
      fc.array(other, { maxLength: 5 }),
      fc.array(other, { maxLength: 5 }),
      (before, behind) => {
        const cookie = [...before, "Authorization=T", ...behind].join("; ");
        const { found, lines } = taken([place], [["Cookie", cookie]]);
        assert.equal(found, "T");
        const rest = [...before, ...behind].join("; ");
        assert.deepEqual(lines, rest === "" ? [] : [["Cookie", rest]]);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe("the token in Authorization", () => {
  for (const [value, token] of [
    ["Bearer T", "T"],
    ["bearer   T", "T"],
    ["BEARER T.U.V", "T.U.V"],
    ["Bearer", null],
    ["Bearer ", null],
    ["BearerT", null],
    ["Basic Qg==", null],
    ["Bearer\tT", undefined],
    ["Bearer \t T", undefined],
    ["BasicT", null],
  ] as const) {
    it(JSON.stringify(value), () => {
      const { found, lines } = taken([{ kind: "bearer" }], [["Authorization", value]]);
      assert.equal(found, token);
      assert.equal(lines.length, typeof token === "string" ? 0 : 1);
    });
  }

  it("is none when there are two lines", () => {
    const line: Line = ["Authorization", "Bearer T"];
    const basic: Line = ["Authorization", "Basic eg=="];
    for (const lines of [
      [line, line],
      [basic, line],
      [line, basic],
      [basic, basic],
    ])
      assert.equal(taken([{ kind: "bearer" }], lines).found, undefined);
  });
});

describe("the token in another field", () => {
  it("is its whole value, and two lines are none", () => {
    const place: TokenPlace = { kind: "header", name: "x-token" };
    assert.deepEqual(taken([place], [["X-Token", "T U"]]), { found: "T U", lines: [], target: "/" });
    assert.equal(taken([place], [["X-Token", ""]]).found, null);
    assert.equal(
      taken(
        [place],
        [
          ["x-token", "T"],
          ["X-TOKEN", "T"],
        ],
      ).found,
      undefined,
    );
  });

  it("is none where an upstream may take a field of another name for it", () => {
    const places: TokenPlace[] = [{ kind: "header", name: "x-token" }, { kind: "bearer" }];
    for (const line of ["X_Token", "x.token"].map((name): Line => [name, "U"])) {
      for (const forward of [true, false]) {
        assert.equal(taken(places, [["X-Token", "T"], line], { forward }).found, undefined);
        assert.equal(taken(places, [line, ["X-Token", "T"]], { forward }).found, undefined);
        assert.equal(taken(places, [["Authorization", "Bearer T"], line], { forward }).found, undefined);
      }
    }
  });
});

describe("the token in the query", () => {
  const place: TokenPlace = { kind: "query", name: "access_token" };
  for (const [target, token, rest] of [
    ["/a?access_token=T", "T", "/a"],
    ["/a?x=1&access_token=T&y=%20", "T", "/a?x=1&y=%20"],
    ["/a?access%5Ftoken=T&x", "T", "/a?x"],
    ["/a?access_token", null, "/a?access_token"],
    ["/a?access_token=", null, "/a?access_token="],
    ["/a?xaccess_token=T", null, "/a?xaccess_token=T"],
    ["/a", null, "/a"],
    ["/a?", null, "/a?"],
    ["/a?access_token=T&access%5ftoken=U", undefined, "/a?access_token=T&access%5ftoken=U"],
  ] as const) {
    it(target, () => {
      const result = taken([place], [], { target });
      assert.deepEqual([result.found, result.target], [token, rest]);
    });
  }
});

describe("several places", () => {
  const places: TokenPlace[] = [{ kind: "bearer" }, { kind: "cookie", name: "t" }, { kind: "query", name: "t" }];
  const bearer: Line = ["Authorization", "Bearer A"];
  const cookie: Line = ["Cookie", "t=B; u=1"];

  it("give the token that is in one of them", () => {
    assert.deepEqual(taken(places, [bearer]), { found: "A", lines: [], target: "/" });
    assert.deepEqual(taken(places, [cookie]), { found: "B", lines: [["Cookie", "u=1"]], target: "/" });
    assert.deepEqual(taken(places, [], { target: "/?t=C&v=2" }), { found: "C", lines: [], target: "/?v=2" });
    assert.equal(taken(places, []).found, null);
  });

  it("give none when it is in two, the same or not, forwarded or not", () => {
    for (const forward of [true, false]) {
      assert.equal(taken(places, [bearer, cookie], { forward }).found, undefined);
      assert.equal(taken(places, [["Cookie", "t=A"], bearer], { forward }).found, undefined);
      assert.equal(taken(places, [bearer], { target: "/?t=A", forward }).found, undefined);
      assert.equal(taken(places, [cookie], { target: "/?t=B", forward }).found, undefined);
    }
  });

  it("give none when one of them could be read in two ways", () => {
    const basic: Line = ["Authorization", "Basic eg=="];
    assert.equal(taken(places, [basic, cookie]).found, "B");
    assert.equal(taken(places, [cookie, basic, bearer]).found, undefined);
    assert.equal(taken(places, [cookie], { target: "/?t=C&t=D" }).found, undefined);
  });
});
