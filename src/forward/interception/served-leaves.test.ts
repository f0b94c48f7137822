import assert from "node:assert/strict";
import { test } from "node:test";
import { Interception, type InterceptionOptions, SERVED_MAX } from "./interception.ts";

test("a leaf is served by the same object until many others were wanted", () => {
  const interception = new Interception({} as InterceptionOptions);
  const leaves = Array.from({ length: SERVED_MAX + 1 }, (_, index) => ({ cert: `cert ${index}`, key: `key ${index}` }));
  const [first, second] = leaves as [(typeof leaves)[0], (typeof leaves)[0]];
  const [servedFirst, servedSecond] = [interception.serveTls(first), interception.serveTls(second)];
  assert.deepEqual(servedFirst, { ...first, minVersion: "TLSv1.2", alpn: ["http/1.1"] });
  for (const leaf of leaves.slice(2, -1)) interception.serveTls(leaf);
  assert.equal(interception.serveTls(first), servedFirst);
  interception.serveTls(leaves.at(-1)!);
  assert.equal(interception.serveTls(first), servedFirst, "it was wanted later than the second");
  assert.notEqual(interception.serveTls(second), servedSecond);
});
