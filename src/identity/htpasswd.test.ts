import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { keyDigest, parseApiKeys } from "./api-keys.ts";
import { explainUserName, parseHtpasswd } from "./htpasswd.ts";

const HASH = "$2y$05$QQxXQxCQRLXpNwgcU8rjh.TJXFsQphwwuJ/iMNEQ7HzB4uh0RHZSe";

describe("a file of users", () => {
  it("has a line for each, and room for comments", () => {
    const { entries, problems } = parseHtpasswd(`# staff\n\nalice:${HASH}\r\nJosé Ünal:${HASH}\n#bob:x\n`);
    assert.deepEqual(problems, []);
    assert.deepEqual([...entries.keys()], ["alice", "José Ünal"]);
    assert.equal(entries.get("alice")?.text, HASH);
  });

  const table: readonly (readonly [text: string, problems: readonly RegExp[]])[] = [
    ["", [/^line 1: the file is empty/]],
    ["# nobody\n", [/^line 1: the file is empty/]],
    ["alice\n", [/^line 1: this line has no colon/]],
    [`:${HASH}`, [/^line 1: a name has at least one character/]],
    [` alice:${HASH}`, [/^line 1: a name neither begins nor ends with a space/]],
    [`al\0ice:${HASH}`, [/^line 1: a name has no control characters/]],
    [`${"a".repeat(256)}:${HASH}`, [/^line 1: a name has at most 255 bytes/]],
    [`alice:${HASH}\nalice:${HASH}`, [/^line 2: "alice" has a line already$/]],
    [
      `alice:${HASH}\nbob:$apr1$FOz3XH9Q$cR8MsS9uYHlbUK0ec3fJK/\ncarol:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=\n`,
      [/^line 2: apr1 .*htpasswd -B/, /^line 3: an unsalted SHA-1 .*htpasswd -B/],
    ],
    [`alice:${HASH}:extra`, [/^line 1: this bcrypt hash is not whole/]],
  ];
  for (const [text, expected] of table) {
    it(JSON.stringify(text.slice(0, 40)), () => {
      const { problems } = parseHtpasswd(text);
      assert.equal(problems.length, expected.length, problems.join("\n"));
      for (const [index, pattern] of expected.entries()) assert.match(problems[index]!, pattern);
    });
  }

  it("of the wrong kind is told of briefly, and never shown", () => {
    const { problems } = parseHtpasswd("root:x:0:0:root:/root:/bin/secret\n".repeat(500));
    assert.equal(problems.length, 11);
    assert.equal(problems[10], "and 490 more");
    assert.ok(!problems.join().includes("secret"));
  });

  it("names cannot hold what Basic cannot send", () => {
    assert.match(explainUserName("a:b") ?? "", /colon/);
    assert.equal(explainUserName("用户"), null);
  });
});

describe("a file of API keys", () => {
  it("has a digest for each name", () => {
    const digest = keyDigest("k");
    const { entries, problems } = parseApiKeys(`ci:${digest.toUpperCase()}\n`);
    assert.deepEqual([[...entries], problems], [[["ci", digest]], []]);
  });

  it("is refused when it holds a key itself, without showing it", () => {
    const { problems } = parseApiKeys("ci:hgk_secret\n");
    assert.deepEqual(problems.length, 1);
    assert.match(problems[0]!, /^line 1: a key is stored as its SHA-256/);
    assert.ok(!problems[0]!.includes("hgk_secret"));
  });
});

describe("any text", () => {
  it("gives an entry or a problem for each of its lines, and no name that Basic could not send", () => {
    const piece = fc.constantFrom(
      "alice",
      ":",
      "\n",
      "\r\n",
      "#",
      " ",
      "\0",
      HASH,
      "$apr1$x$y",
      "\u00e9",
      "\u2028",
      "\t",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join("");
        const { entries, problems } = parseHtpasswd(text);
        const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
        for (const name of entries.keys()) assert.equal(explainUserName(name), null);
        if (lines.length === 0) assert.deepEqual([entries.size, problems.length], [0, 1]);
        else if (problems.length <= 10) assert.equal(entries.size + problems.length, lines.length);
        assert.ok(!problems.join().includes("$apr1$x"));
      }),
      { seed },
    );
  });
});
