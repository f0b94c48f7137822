// A field section: look-ups without case, joins, changes that never move bytes, what is encoded, and what a released
// block shows.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { viewOf } from "./copy-bytes.ts";
import { FIELD_BIT, FIELD_COOKIE, FIELD_HOST, fieldIdAt } from "./field-names.ts";
import {
  acquireStorage,
  EncodedLines,
  FieldBlock,
  pooledStorages,
  REMOVED,
  ROW,
  ROW_ID,
  releaseStorage,
} from "./fields.ts";

type Line = readonly [name: string, value: string];

/** What is left of the lines when encoded, behind a prefix that must not be touched. */
function encoded(block: FieldBlock, withStartLine = false): string {
  const target = Buffer.alloc(block.end + 8, "~");
  const end = block.encode(target, viewOf(target), 4, withStartLine);
  assert.equal(target.toString("latin1", 0, 4), "~~~~");
  assert.equal(target.toString("latin1", end), "~".repeat(target.length - end));
  return target.toString("latin1", 4, end);
}

function textOf(lines: readonly Line[]): string {
  return lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** A block as a parser leaves it: a start line before the fields, the lines as they came, the rest of the storage junk. */
function received(startLine: string, lines: string): FieldBlock {
  const storage = acquireStorage();
  const text = `${startLine}\r\n${lines}`;
  storage.growBytes(text.length, 0);
  storage.bytes.fill("#");
  storage.bytes.write(text, "latin1");
  let [rows, seen, at] = [0, 0, startLine.length + 2];
  for (const line of lines.split("\r\n").slice(0, -1)) {
    const colon = at + line.indexOf(":");
    const value = at + line.length - line.slice(line.indexOf(":") + 1).trimStart().length;
    const id = fieldIdAt(storage.bytes, at, colon);
    storage.table.set([id, at, colon, value, at + line.trimEnd().length], rows++ * ROW);
    seen |= FIELD_BIT[id]!;
    at += line.length + 2;
  }
  const block = new FieldBlock();
  block.adopt(storage, rows, startLine.length + 2, at, seen);
  return block;
}

describe("reading fields", () => {
  it("finds a field by its name in any case, known names and others", () => {
    const block = FieldBlock.from([
      ["HOST", "a.example"],
      ["X-Custom", "1"],
    ]);
    for (const name of ["host", "Host", "hOsT"]) assert.equal(block.get(name), "a.example");
    for (const name of ["x-custom", "X-CUSTOM"]) assert.equal(block.get(name), "1");
    assert.ok(block.has("Host") && block.has("X-custom"));
    for (const name of ["hos", "hostx", "x-custo", "x-custom2", "", "cookie"]) {
      assert.equal(block.get(name), null, name);
      assert.equal(block.has(name), false, name);
      assert.deepEqual(block.getAll(name), []);
    }
  });

  it("joins several lines with a comma, cookies with a semicolon (RFC 9110 section 5.3, RFC 9113 section 8.2.3)", () => {
    const block = FieldBlock.from([
      ["Accept", "a"],
      ["Cookie", "x=1"],
      ["accept", "b, c"],
      ["cookie", "y=2"],
      ["ACCEPT", ""],
    ]);
    assert.equal(block.get("accept"), "a, b, c, ");
    assert.equal(block.get("cookie"), "x=1; y=2");
    assert.deepEqual(block.getAll("accept"), ["a", "b, c", ""]);
  });

  it("keeps Set-Cookie lines apart", () => {
    const block = FieldBlock.from([
      ["Set-Cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT"],
      ["Set-Cookie", "b=2"],
    ]);
    assert.deepEqual(block.getAll("set-cookie"), ["a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", "b=2"]);
  });

  it("gives every line as it was spelled, in order", () => {
    const lines: Line[] = [
      ["hOsT", "h"],
      ["X-B", "2"],
      ["x-b", "3"],
    ];
    assert.deepEqual([...FieldBlock.from(lines).entries()], lines);
  });

  it("finds rows by number, from a row on", () => {
    const block = FieldBlock.from([
      ["Cookie", "1"],
      ["Host", "h"],
      ["Cookie", "2"],
    ]);
    assert.equal(block.rowOfId(FIELD_COOKIE), 0);
    assert.equal(block.rowOfId(FIELD_COOKIE, 1), 2);
    assert.equal(block.rowOfId(FIELD_COOKIE, 3), -1);
    assert.equal(block.rowOf("host"), 1);
    assert.equal(block.valueAt(block.rowOfId(FIELD_HOST)), "h");
    assert.equal(block.table[2 * ROW + ROW_ID], FIELD_COOKIE);
  });

  it("takes bytes above 127 one to a character", () => {
    const block = FieldBlock.from([["X-Name", "Ren\xe9"]]);
    assert.equal(block.get("x-name"), "Ren\xe9");
    assert.equal(encoded(block), "X-Name: Ren\xe9\r\n");
  });
});

describe("changing fields", () => {
  it("sets by removing every line of the name and adding one at the end", () => {
    const block = FieldBlock.from([
      ["a", "1"],
      ["b", "2"],
      ["A", "3"],
    ]);
    block.set("a", "4");
    assert.equal(encoded(block), "b: 2\r\na: 4\r\n");
    block.set("new", "5");
    assert.equal(block.get("new"), "5");
  });

  it("deletes every line of the name, and says whether there was one", () => {
    const block = FieldBlock.from([
      ["Cookie", "1"],
      ["b", "2"],
      ["cookie", "3"],
    ]);
    assert.equal(block.delete("COOKIE"), true);
    assert.equal(block.delete("cookie"), false);
    assert.equal(block.deleteId(FIELD_COOKIE), false);
    assert.equal(block.get("cookie"), null);
    assert.ok(block.isRemoved(0) && !block.isRemoved(1));
    assert.equal(block.table[ROW_ID], REMOVED);
    assert.equal(encoded(block), "b: 2\r\n");
    block.append("Cookie", "4");
    assert.equal(block.get("cookie"), "4");
    assert.equal(block.deleteId(FIELD_COOKIE), true);
  });

  it("refuses names and values that could end or split a line, and changes nothing then", () => {
    const block = FieldBlock.from([["a", "1"]]);
    const names = ["", " ", "a b", "a:", "a\r\nb", "\xe9", "a\0", "a,b", '"a"', "a(b)", "h\u0131"];
    const values = ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b[0m", "\u2028", "\u{1f600}", "\u010a"];
    for (const change of ["set", "append"] as const) {
      for (const name of names) assert.throws(() => block[change](name, "x"), TypeError, JSON.stringify(name));
      for (const value of values) assert.throws(() => block[change]("a", value), TypeError, JSON.stringify(value));
    }
    assert.throws(() => FieldBlock.from([["a b", "1"]]), TypeError);
    assert.throws(() => new EncodedLines([["a", "\n"]]), TypeError);
    assert.equal(encoded(block), "a: 1\r\n");
  });

  it("takes every character of a token, and tabs in values", () => {
    const name = "!#$%&'*+-.^_`|~09azAZ";
    const block = FieldBlock.from([[name, "\ta\t b"]]);
    assert.equal(block.get(name.toLowerCase()), "\ta\t b");
  });

  it("grows its table and its bytes without losing a line", () => {
    const lines = Array.from({ length: 400 }, (_, index): Line => [`x-${index}`, `${index}`.repeat(20)]);
    const block = FieldBlock.from(lines);
    assert.deepEqual([...block.entries()], lines);
    assert.equal(encoded(block), textOf(lines));
    assert.equal(block.get("x-399"), "399".repeat(20));
    const long = "v".repeat(100_000);
    block.set("long", long);
    assert.equal(block.get("long"), long);
    assert.equal(block.get("x-0"), "0".repeat(20));
    block.release();
  });

  it("appends lines that were encoded before, to an empty block and to a full one", () => {
    const lines = new EncodedLines([
      ["Via", "1.1 gate"],
      ["X-Long", "v".repeat(3000)],
    ]);
    const block = new FieldBlock();
    for (let i = 0; i < 40; i++) block.appendEncoded(lines);
    assert.equal(block.getAll("via").length, 40);
    assert.equal(block.getAll("x-long")[39], "v".repeat(3000));
    assert.equal(encoded(block), `Via: 1.1 gate\r\nX-Long: ${"v".repeat(3000)}\r\n`.repeat(40));
    const small = FieldBlock.from([["Host", "h"]]);
    small.appendEncoded(lines);
    small.delete("x-long");
    assert.equal(encoded(small), "Host: h\r\nVia: 1.1 gate\r\n");
  });
});

describe("encoded lines as bytes", () => {
  it("are found again in their bytes, whatever the lines", () => {
    const line = fc.tuple(
      fc.constantFrom("Via", "Host", "x", "ETag", "Set-Cookie", "Content-Type", "X-Very-Long-Name-Of-A-Field"),
      fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,40}$/),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), (fields) => {
        const lines = new EncodedLines(fields);
        const found = EncodedLines.parse(Buffer.from(lines.bytes))!;
        assert.deepEqual([found.bytes, found.rows, found.seen], [lines.bytes, lines.rows, lines.seen]);
      }),
      { seed },
    );
  });

  it("are refused when they are anything else, and never more than what was written", () => {
    for (const text of [
      "a",
      "a: b",
      "a: b\n",
      "a:b\r\n",
      ": b\r\n",
      "a b: c\r\n",
      "a: \0\r\n",
      "a: b\r\n\r\n",
      "\r\n",
    ]) {
      assert.equal(EncodedLines.parse(Buffer.from(text)), null, JSON.stringify(text));
    }
    const written = Buffer.from('Host: h\r\nETag: "1"\r\nx: \r\n');
    fc.assert(
      fc.property(fc.nat(written.length - 1), fc.nat(255), (at, byte) => {
        const bytes = Buffer.from(written);
        bytes[at] = byte;
        const found = EncodedLines.parse(bytes);
        if (found === null) return;
        const block = new FieldBlock();
        block.appendEncoded(found);
        assert.equal(encoded(block), bytes.toString("latin1"));
        assert.deepEqual([...new EncodedLines([...block.entries()]).bytes], [...bytes]);
      }),
      { seed, numRuns: 1000 },
    );
  });
});

describe("cutting a value", () => {
  it("leaves what stands before and behind, on a line at the end, however long and however full the block", () => {
    for (const length of [0, 1, 7, 8, 100, 383, 384, 385, 5000]) {
      const [before, behind] = ["b".repeat(length), "e".repeat(length)];
      const block = received("GET / HTTP/1.1", `Host: a\r\ncookie:  ${before}CUT${behind} \r\nX: 1\r\n`);
      const row = block.rowOfId(FIELD_COOKIE);
      const start = block.bytes.indexOf("CUT");
      block.cutValue(row, start, start + 3);
      assert.equal(block.get("Cookie"), before + behind);
      assert.equal(block.rowOf("cookie"), 2 + 1);
      assert.match(encoded(block, true), /^GET \/ HTTP\/1\.1\r\nHost: a\r\nX: 1\r\ncookie: {1,2}b*e*\r\n$/);
    }
    const many = new FieldBlock();
    for (let count = 0; count < 300; count++) {
      many.append(`X-${count}`, "abc");
      const row = many.rowCount - 1;
      const at = many.table[row * ROW + 3]! + 1;
      many.cutValue(row, at, at + 1);
    }
    for (let count = 0; count < 300; count++) assert.equal(many.get(`x-${count}`), "ac");
  });
});

describe("encoding", () => {
  it("copies what came unchanged, to the byte", () => {
    const lines = "Host:h\r\nX-Spaces: \t a  \r\nx-empty:\r\nCookie: c\r\n";
    const block = received("GET / HTTP/1.1", lines);
    assert.equal(encoded(block), lines);
    assert.equal(encoded(block, true), `GET / HTTP/1.1\r\n${lines}`);
    assert.equal(block.get("x-spaces"), "a");
    assert.equal(block.get("x-empty"), "");
  });

  it("leaves out removed lines wherever they stand, and adds new ones at the end", () => {
    for (const [removed, rest] of [
      [["a"], "B: 2\r\nC: 3\r\nD: 4\r\n"],
      [["b", "c"], "A: 1\r\nD: 4\r\n"],
      [["d"], "A: 1\r\nB: 2\r\nC: 3\r\n"],
      [["a", "c"], "B: 2\r\nD: 4\r\n"],
      [["a", "b", "c", "d"], ""],
    ] as const) {
      const block = received("GET / HTTP/1.1", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n");
      for (const name of removed) block.delete(name);
      assert.equal(encoded(block), rest);
      assert.equal(encoded(block, true), `GET / HTTP/1.1\r\n${rest}`);
      block.append("E", "5");
      assert.equal(encoded(block, true), `GET / HTTP/1.1\r\n${rest}E: 5\r\n`);
      block.release();
    }
  });

  it("keeps the start line when the storage grows behind it", () => {
    const block = received("GET /kept HTTP/1.1", "A: 1\r\n");
    block.append("Long", "v".repeat(20_000));
    assert.ok(encoded(block, true).startsWith("GET /kept HTTP/1.1\r\nA: 1\r\nLong: vvv"));
  });

  it("of nothing is nothing", () => {
    assert.equal(encoded(new FieldBlock()), "");
    assert.equal(encoded(FieldBlock.from([])), "");
  });
});

describe("a released block", () => {
  it("reads as empty, although its memory serves another request already", () => {
    const block = FieldBlock.from([
      ["Authorization", "secret"],
      ["X-Custom", "1"],
    ]);
    const entries = block.entries();
    entries.next();
    block.release();
    const other = FieldBlock.from([
      ["Authorization", "of another request"],
      ["X-Custom", "2"],
    ]);
    assert.equal(block.get("authorization"), null);
    assert.equal(block.has("x-custom"), false);
    assert.equal(block.delete("x-custom"), false);
    assert.deepEqual([...entries], []);
    assert.deepEqual([...block.entries()], []);
    assert.deepEqual([block.rowCount, block.start, block.end, block.bytes.length, block.table.length], [0, 0, 0, 0, 0]);
    assert.equal(encoded(block, true), "");
    assert.equal(block.nameAt(0), "");
    assert.equal(block.valueAt(1), "");
    assert.equal(other.get("x-custom"), "2");
    other.release();
  });

  it("takes new lines into memory of its own", () => {
    const block = FieldBlock.from([["a", "1"]]);
    block.release();
    const other = FieldBlock.from([["b", "2"]]);
    block.append("c", "3");
    assert.equal(encoded(block), "c: 3\r\n");
    assert.equal(encoded(other), "b: 2\r\n");
    block.release();
    other.release();
  });

  it("gives its memory back once, however often it is released", () => {
    const block = FieldBlock.from([["a", "1"]]);
    const before = pooledStorages();
    block.release();
    block.release();
    assert.equal(pooledStorages(), before + 1);
    new FieldBlock().release();
    assert.equal(pooledStorages(), before + 1);
  });
});

describe("a compact section", () => {
  it("reads as before, start line included, in memory of its own size, and what it had is given back", () => {
    const block = received("GET / HTTP/1.1", "Host: h\r\nX-A: 1\r\nX-B: 2\r\n");
    block.delete("x-a");
    const before = pooledStorages();
    block.compact();
    assert.equal(pooledStorages(), before + 1);
    assert.equal(block.bytes.length, block.end);
    assert.equal(block.view.byteLength, block.end);
    assert.equal(block.bytes.toString("latin1", 0, block.start), "GET / HTTP/1.1\r\n");
    assert.deepEqual([block.get("host"), block.get("x-a"), block.get("x-b")], ["h", null, "2"]);
    block.append("X-C", "3");
    assert.equal(encoded(block), "Host: h\r\nX-B: 2\r\nX-C: 3\r\n");
    block.release();
    assert.equal(pooledStorages(), before + 1, "what is too small for a head is nobody's to reuse");
  });

  it("of nothing is nothing", () => {
    const block = new FieldBlock();
    block.compact();
    block.append("A", "b");
    assert.equal(encoded(block), "A: b\r\n");
    block.delete("A");
    block.compact();
    assert.equal(encoded(block), "");
    block.release();
  });
});

describe("the pool", () => {
  it("hands memory out again, one owner at a time", () => {
    const first = acquireStorage();
    const second = acquireStorage();
    assert.notEqual(first, second);
    releaseStorage(first);
    assert.equal(acquireStorage(), first);
    releaseStorage(first);
    releaseStorage(second);
  });

  it("lets go of what had to grow for a large head, and of more than it needs", () => {
    const large = acquireStorage();
    large.growBytes(20_000, 0);
    const before = pooledStorages();
    releaseStorage(large);
    assert.equal(pooledStorages(), before);
    const many = Array.from({ length: 1000 }, () => acquireStorage());
    for (const storage of many) releaseStorage(storage);
    assert.ok(pooledStorages() <= 256);
  });
});

describe("fields as a whole", () => {
  it("do what a list of lines would do, whatever is done to them", () => {
    const name = fc.constantFrom(
      "Host",
      "HOST",
      "cookie",
      "X-A",
      "x-a",
      "X-B",
      "Content-Length",
      "range",
      "x-request-id",
    );
    const value = fc.oneof(
      fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{0,40}$/),
      fc.nat(3000).map((length) => "v".repeat(length)),
    );
    const command = fc.record({
      kind: fc.constantFrom("append", "append", "set", "delete", "encoded", "compact"),
      name,
      value,
    });
    fc.assert(
      fc.property(fc.boolean(), fc.array(command, { maxLength: 120 }), (startsReceived, commands) => {
        let model: Line[] = startsReceived
          ? [
              ["Host", "h"],
              ["x-A", "0"],
            ]
          : [];
        const block = startsReceived ? received("GET / HTTP/1.1", textOf(model)) : new FieldBlock();
        const isOther = (other: string) => (line: Line) => line[0].toLowerCase() !== other.toLowerCase();
        for (const { kind, name, value } of commands) {
          if (kind === "delete") {
            const rest = model.filter(isOther(name));
            assert.equal(block.delete(name), rest.length < model.length);
            model = rest;
            continue;
          }
          if (kind === "compact") {
            block.compact();
            continue;
          }
          if (kind === "encoded") block.appendEncoded(new EncodedLines([[name, value]]));
          else block[kind as "append" | "set"](name, value);
          if (kind === "set") model = model.filter(isOther(name));
          model.push([name, value]);
        }
        assert.deepEqual([...block.entries()], model);
        assert.equal(encoded(block), textOf(model));
        for (const name of ["host", "Cookie", "x-a", "X-b", "content-length", "Range", "x-request-id", "absent"]) {
          const values = model.filter((line) => !isOther(name)(line)).map(([, value]) => value);
          assert.deepEqual(block.getAll(name), values);
          const joined = values.length === 0 ? null : values.join(name === "Cookie" ? "; " : ", ");
          assert.equal(block.get(name), joined);
        }
        block.release();
        assert.deepEqual([...block.entries()], []);
      }),
      { seed, numRuns: 300 },
    );
  });
});

describe("a block that takes little room", () => {
  it("reads and is encoded as before, takes new lines, and gives its memory to nobody", () => {
    const block = FieldBlock.from([
      ["A", "1"],
      ["Host", "h"],
      ["B", "2"],
    ]);
    block.delete("a");
    const before = encoded(block);
    const pooled = pooledStorages();
    block.compact();
    assert.equal(pooledStorages(), pooled + 1, "what it had is another one's");
    assert.ok(block.bytes.length < 64);
    assert.deepEqual([encoded(block), block.get("host"), block.get("a"), block.rowCount], [before, "h", null, 3]);
    block.append("C", "3".repeat(100));
    assert.equal(encoded(block), `${before}C: ${"3".repeat(100)}\r\n`);
    block.release();
    assert.equal(pooledStorages(), pooled + 1, "too small for a head");
    new FieldBlock().compact();
  });
});

describe("a copy", () => {
  it("reads and is encoded as its source was, rows removed included, whatever becomes of either", () => {
    const lines: Line[] = Array.from({ length: 200 }, (_, row) => [`X-${row}`, "v".repeat(row)]);
    const source = FieldBlock.from(lines);
    source.delete("x-7");
    const copy = FieldBlock.copyOf(source);
    assert.equal(copy.rowCount, 200);
    assert.equal(encoded(copy), encoded(source));
    source.set("X-1", "other");
    copy.append("Host", "h");
    assert.deepEqual([copy.get("x-1"), source.get("host"), copy.rowOfId(FIELD_HOST)], ["v", null, 200]);
    source.release();
    assert.equal(copy.get("x-199"), "v".repeat(199));
    copy.release();
  });

  it("of nothing is empty, and one behind a start line keeps its place", () => {
    assert.equal(FieldBlock.copyOf(new FieldBlock()).rowCount, 0);
    const storage = acquireStorage();
    const whole = "GET / HTTP/1.1\r\nA: b\r\n";
    storage.bytes.write(whole, "latin1");
    storage.table.set([0, 16, 17, 19, 20]);
    const block = new FieldBlock();
    block.adopt(storage, 1, 16, whole.length, 0);
    const copy = FieldBlock.copyOf(block);
    assert.deepEqual([...copy.entries()], [["A", "b"]]);
    assert.equal(encoded(copy), "A: b\r\n");
    block.release();
    copy.release();
  });
});

describe("encoded lines", () => {
  const lines: readonly Line[] = [
    ["ETag", '"a"'],
    ["X-Other", "1"],
    ["Cache-Control", "max-age=5"],
    ["x-other", "2"],
    ["X-Othe", "3"],
  ];

  it("are read by name, in lower case, and in their order", () => {
    const encodedLines = new EncodedLines(lines);
    assert.deepEqual([...encodedLines.entries()], lines);
    assert.equal(encodedLines.get("etag"), '"a"');
    assert.equal(encodedLines.get("x-other"), "1, 2");
    assert.equal(encodedLines.get("cache-control"), "max-age=5");
    assert.equal(encodedLines.get("vary"), null);
    assert.equal(encodedLines.get("x-othes"), null);
    assert.equal(encodedLines.rowOf("x-othe"), 4 * ROW);
    assert.equal(new EncodedLines([]).get("etag"), null);
  });

  it("say what a block with the same lines says", () => {
    const name = fc.constantFrom("A", "a", "AB", "Vary", "vary", "Date", "Set-Cookie", "ETag");
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.stringMatching(/^[a-z]{0,3}$/))), name, (some, wanted) => {
        const block = FieldBlock.from(some);
        assert.equal(new EncodedLines(some).get(wanted.toLowerCase()), block.get(wanted));
        block.release();
      }),
      { seed },
    );
  });
});
