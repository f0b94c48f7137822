// Rules over every file of the repository: names that say something, no trace of the machine it was written on, a lock
// file that any registry can serve, and set-up that knows what the tests need.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { listTrackedFiles, repositoryRoot } from "./source-tree.ts";
import { nameViolations } from "./violations.ts";

const tracked = listTrackedFiles();
const outsideGit = tracked === null && "skipped: needs a git checkout";

function read(file: string): string {
  return readFileSync(path.join(repositoryRoot, file), "latin1");
}

/** Put together here, so that this file does not hold what it forbids. */
const machinePath = new RegExp(`(?<![\\w.~/-])/(?:${["wo" + "rk", "ro" + "ot"].join("|")})/`);
const registryHost = new RegExp(
  [`registry\\.${"npm"}js\\.`, `registry\\.${"yarn"}pkg\\.`, `npm\\.pkg\\.${"git"}hub\\.`, `${"npm"}mirror\\.`].join(
    "|",
  ),
);

function traces(text: string): string[] {
  return text.split("\n").flatMap((line, index) => {
    const found = machinePath.exec(line) ?? registryHost.exec(line);
    return found === null ? [] : [`${index + 1}: ${found[0]}`];
  });
}

describe("the repository", { skip: outsideGit }, () => {
  test("no file or folder has a name that says nothing", () => {
    assert.deepEqual(nameViolations(tracked ?? []), []);
  });

  test("no file names a path of the machine it was written on, or the host of a package registry", () => {
    const found = (tracked ?? []).flatMap((file) => traces(read(file)).map((trace) => `${file}:${trace}`));
    assert.deepEqual(found, []);
  });
});

test("traces are found where they are planted, and nowhere else", () => {
  const [work, root, registry] = ["/wo" + "rk/main", "/ro" + "ot/.npmrc", "https://registry.npm" + "js.org/x"];
  for (const planted of [
    `"${work}"`,
    `in ${work}.`,
    `(${root})`,
    `=${root}`,
    `a\n${root}`,
    registry,
    `"${registry}"`,
  ]) {
    assert.equal(traces(planted).length, 1, planted);
  }
  for (const lawful of [`/home${work}`, `https://a.example${work}`, "framework/a", "/works/", "~/work/x"]) {
    assert.deepEqual(traces(lawful), [], lawful);
  }
});

describe("package-lock.json", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as { packages: Record<string, Record<string, unknown>> };
  const entries = Object.entries(packages).filter(([location]) => location !== "");

  test("says where no package was downloaded from", () => {
    assert.deepEqual(
      entries.filter(([, entry]) => "resolved" in entry).map(([location]) => location),
      [],
    );
  });

  test("holds the hash of every package", () => {
    assert.deepEqual(
      entries.filter(([, entry]) => typeof entry.integrity !== "string").map(([location]) => location),
      [],
    );
  });

  test("holds an entry for each package of each platform, without which npm ci refuses it", () => {
    const wanted = entries.flatMap(([, entry]) =>
      Object.keys((entry.optionalDependencies as object | undefined) ?? {}),
    );
    assert.deepEqual(
      wanted.filter((name) => !entries.some(([location]) => location.endsWith(`node_modules/${name}`))),
      [],
    );
  });
});
