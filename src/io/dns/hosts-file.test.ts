// The hosts file: what a line means, and that no text at all breaks the reading of it.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { type HostsTable, parseHosts } from "./hosts-file.ts";

const texts = (table: HostsTable): Record<string, string> =>
  Object.fromEntries([...table].map(([name, found]) => [name, found.map(({ address }) => address).join(" ")]));

test("names, aliases, comments, both families, several lines for a name", () => {
  const table = parseHosts(
    [
      "# a comment",
      "127.0.0.1\tlocalhost",
      "::1 localhost ip6-localhost",
      "  10.0.0.1   DB.Internal\tdb  db. # 10.0.0.2 not.this",
      "10.0.0.3 db\r",
      "10.0.0.3 db",
      "fe80::1%lo0 zoned",
      "10.0.0.4 __proto__ constructor",
      "10.0.0.5",
      "no-address name",
      "010.0.0.6 octal",
      "10.0.0 short",
      "",
      "10.0.0.7 last",
    ].join("\n"),
  );
  assert.deepEqual(texts(table), {
    localhost: "127.0.0.1 ::1",
    "ip6-localhost": "::1",
    "db.internal": "10.0.0.1",
    db: "10.0.0.1 10.0.0.3",
    zoned: "fe80::1%lo0",
    ["__proto__"]: "10.0.0.4",
    constructor: "10.0.0.4",
    last: "10.0.0.7",
  });
  assert.deepEqual(table.get("localhost"), [
    { address: "127.0.0.1", family: 4 },
    { address: "::1", family: 6 },
  ]);
});

test("whatever a file holds, the table has addresses and names, and every line counts by itself", () => {
  const word = fc.oneof(
    fc.constantFrom("127.0.0.1", "::1", "::ffff:1.2.3.4", "1.2.3", "#", "a", "A.", "a.b", ".", "\0", "%"),
    fc.string(),
    fc.ipV4(),
    fc.ipV6(),
    fc.domain(),
  );
  const line = fc.array(word, { maxLength: 6 }).map((words) => words.join(" "));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.constantFrom("\n", "\r\n", "\n\n"), (lines, end) => {
      const clean = lines.flatMap((text) => text.split("\n"));
      const table = parseHosts(clean.join(end));
      for (const [name, addresses] of table) {
        assert.match(name, /^[^\s#]*$/);
        assert.equal(name, name.toLowerCase());
        assert.ok(addresses.length > 0);
        for (const { address, family } of addresses) assert.equal(net.isIP(address), family);
      }
      const single = new Map<string, Set<string>>();
      for (const text of clean) {
        for (const [name, addresses] of parseHosts(text)) {
          const known = single.get(name) ?? new Set();
          for (const { address } of addresses) known.add(address);
          single.set(name, known);
        }
      }
      assert.deepEqual(
        [...table].map(([name, addresses]) => [name, addresses.map(({ address }) => address)]),
        [...single].map(([name, addresses]) => [name, [...addresses]]),
      );
    }),
    { seed, numRuns: 300 },
  );
});

test("arbitrary bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const addresses of parseHosts(Buffer.from(bytes).toString("utf8")).values()) assert.ok(addresses.length > 0);
    }),
    { seed },
  );
});
