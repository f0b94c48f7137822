import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FieldBlock } from "../core/fields.ts";
import { acceptsTrailers, nominatesFields, removeHopByHop } from "./hop-by-hop.ts";

type Line = readonly [name: string, value: string];

function kept(lines: readonly Line[]): Line[] {
  const fields = FieldBlock.from(lines);
  removeHopByHop(fields);
  return [...fields.entries()];
}

const HOST: Line = ["Host", "example.org"];

describe("fields of one hop", () => {
  it("never cross", () => {
    const lines: Line[] = [
      HOST,
      ["connection", "keep-alive"],
      ["Keep-Alive", "timeout=5"],
      ["Proxy-Connection", "keep-alive"],
      ["TE", "trailers"],
      ["Transfer-Encoding", "chunked"],
      ["Upgrade", "websocket"],
      ["Proxy-Authorization", "Basic eDp5"],
      ["Proxy-Authenticate", "Basic"],
      ["Accept", "*/*"],
    ];
    assert.deepEqual(kept(lines), [HOST, ["Accept", "*/*"]]);
  });

  it("are removed on every line that they have", () => {
    assert.deepEqual(kept([["Connection", "close"], HOST, ["CONNECTION", "x-a"], ["X-A", "1"], ["x-a", "2"]]), [HOST]);
  });

  it("leave Trailer, which announces what is passed on", () => {
    const lines: Line[] = [
      ["Trailer", "Digest"],
      ["Connection", "Trailer"],
    ];
    assert.deepEqual(kept(lines), [["Trailer", "Digest"]]);
  });

  it("are those that Connection nominates too", () => {
    const nominations = ["X-One", "x-one", " X-ONE ", "close, X-One", ",,\tx-one\t,", "keep-alive,x-one,upgrade"];
    for (const nomination of nominations) {
      assert.deepEqual(
        kept([
          ["X-One", "1"],
          ["Connection", nomination],
          ["X-One-More", "2"],
        ]),
        [["X-One-More", "2"]],
      );
    }
    assert.deepEqual(kept([["Connection", "Upgrade, HTTP2-Settings"], ["HTTP2-Settings", "AAMAAABk"], HOST]), [HOST]);
  });

  it("are the same however many names stand beside them", () => {
    const others = Array.from({ length: 40 }, (_, index) => `other-${index}`).join(", ");
    const lines: Line[] = [
      HOST,
      ["X-One", "1"],
      ["Cookie", "a=b"],
      ["X-One-More", "2"],
      ["x-two", "3"],
      ["x-one", "4"],
    ];
    for (const nomination of ["X-One, x-TWO", " X-ONE\t,,x-two,cookie", "host,x-one,x-two"]) {
      for (const value of [nomination, `${others},${nomination}`, `${nomination},${others}`]) {
        const left = kept([...lines, ["Connection", value]]);
        assert.deepEqual(left, [HOST, ["Cookie", "a=b"], ["X-One-More", "2"]], value);
        const all = FieldBlock.from([...lines, ["Connection", value]]);
        assert.ok(nominatesFields(all), value);
      }
    }
    assert.ok(!nominatesFields(FieldBlock.from([HOST, ["Connection", `host, cookie, ${others}`]])));
  });

  it("are not those that the proxy recognises, whatever Connection says", () => {
    const lines: Line[] = [
      HOST,
      ["Content-Length", "3"],
      ["Authorization", "Bearer x"],
      ["Cookie", "a=b"],
      ["X-Forwarded-For", "192.0.2.1"],
      ["Forwarded", "for=192.0.2.1"],
      ["Cache-Control", "no-store"],
      ["Via", "1.1 edge"],
      ["Content-Type", "text/plain"],
    ];
    const nomination = lines.map(([name]) => name).join(", ");
    assert.deepEqual(kept([...lines, ["Connection", `close, ${nomination}`]]), lines);
  });

  it("are never lines that were added since the message arrived", () => {
    const fields = FieldBlock.from([HOST, ["X-User", "forged"], ["Connection", "X-User, close"]]);
    const receivedRows = fields.rowCount;
    fields.append("X-User", "alice");
    removeHopByHop(fields, receivedRows);
    assert.deepEqual([...fields.entries()], [HOST, ["X-User", "alice"]]);
  });

  it("are none in an empty section", () => {
    assert.deepEqual(kept([]), []);
  });

  it("are found as a plain reading of RFC 9110 finds them", () => {
    const name = fc.constantFrom(
      "X-A",
      "x-b",
      "X-Long-Name",
      "Accept-Ranges",
      "Cookie",
      "TE",
      "Upgrade",
      "Host",
      "Keep-Alive",
    );
    const lines = fc.array(fc.tuple(name, fc.constantFrom("1", "a, b")), { maxLength: 12 });
    const nominated = fc.array(fc.oneof(name, fc.constantFrom("close", "")), { maxLength: 6 });
    const spacing = fc.constantFrom(",", ", ", " ,\t");
    fc.assert(
      fc.property(lines, nominated, spacing, (others, options, separator) => {
        const all: Line[] = [...others, ["Connection", options.join(separator).trim()]];
        const gone = new Set(["te", "upgrade", "keep-alive", "connection"]);
        for (const option of options) if (!/^(host|cookie)$/i.test(option)) gone.add(option.toLowerCase());
        assert.deepEqual(
          kept(all),
          all.filter(([lineName]) => !gone.has(lineName.toLowerCase())),
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe("trailers are accepted", () => {
  const table: readonly (readonly [te: readonly string[], accepted: boolean])[] = [
    [[], false],
    [["trailers"], true],
    [["Trailers"], true],
    [["deflate;q=0.5, trailers"], true],
    [["deflate", "gzip,trailers"], true],
    [["trailersx"], false],
    [["deflate"], false],
    [['x;a="trailers, trailers,"'], false],
  ];
  for (const [te, accepted] of table) {
    it(`with TE: ${te.join(" | ") || "(none)"}: ${accepted}`, () => {
      assert.equal(acceptsTrailers(FieldBlock.from(te.map((value): Line => ["TE", value]))), accepted);
    });
  }
});
