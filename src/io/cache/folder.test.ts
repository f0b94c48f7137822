/** Folders of caches that are not there yet. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { prepareFolder } from "./folder.ts";

test("a folder is made with those above it, for its owner alone", (t) => {
  const above = mkdtempSync(path.join(tmpdir(), "headgate-folder-"));
  t.after(() => rmSync(above, { recursive: true }));
  const folder = path.join(above, "a", "b");
  assert.equal(prepareFolder(folder), null);
  for (const made of [path.dirname(folder), folder]) assert.equal(statSync(made).mode & 0o777, 0o700);
});

test("where no folder can be made, it fails at once", { skip: process.platform !== "linux" }, () => {
  assert.throws(() => prepareFolder("/proc/headgate/cache"), { code: "ENOENT" });
});
