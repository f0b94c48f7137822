// The CA of interception from its folder: every way in which it cannot be used is told with its file, and leaves outlive a restart.

import assert from "node:assert/strict";
import { chmodSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { TestFolder } from "../../test/support/folder.ts";
import type { Leaf } from "../forward/interception/authority.ts";
import { makeAuthority } from "../forward/interception/new-authority.ts";
import { pathsOfAuthority } from "./authority-folder.ts";
import { leavesOf, loadAuthority } from "./interception-authority.ts";
import { SetupError } from "./setup-error.ts";
import { clock } from "./surroundings.ts";

const DAY_MS = 86_400_000;
const PLACE = ["servers", "web", "forward", "intercept", "ca"];

class AuthorityFolder extends TestFolder {
  async make(hosts: readonly string[] = [], lifeMs = 365 * DAY_MS, wallMs = Date.now()): Promise<void> {
    const { cert, key } = await makeAuthority({ name: "Test CA", lifeMs, hosts, networks: [] }, wallMs);
    this.write("ca.pem", cert);
    this.write("ca.key", key);
    chmodSync(this.file("ca.key"), 0o600);
  }

  load(hosts: readonly string[] = []) {
    return loadAuthority(this.path, hosts, PLACE, clock);
  }

  async fails(message: string): Promise<void> {
    await assert.rejects(this.load(), (error) => {
      assert.ok(error instanceof SetupError, String(error));
      assert.deepEqual(error.problems, [{ path: PLACE, message }]);
      return true;
    });
  }
}

test("what cannot be used is told with its file, and what to do", async () => {
  using folder = new AuthorityFolder();
  const [cert = "", key = ""] = pathsOfAuthority(folder.path);
  const hint = `; make a CA with: headgate ca init --dir ${folder.path}`;
  await folder.fails(`${cert}: cannot be read: there is no such file${hint}`);
  await folder.make();
  const before = folder.read("ca.key");
  await folder.make();
  folder.write("ca.key", before);
  await folder.fails(`${key}: the key does not belong to the certificate of the CA`);
  folder.write("ca.key", folder.read("ca.pem"));
  await folder.fails(`${key}: no private key is in this file: it holds a certificate`);
  folder.write("ca.key", before);
  folder.write("ca.pem", "");
  await folder.fails(`${cert}: no certificate is in this file: it is not a PEM file, or is not complete`);
  folder.write("ca.pem", "x".repeat(2 * 1024 * 1024));
  await folder.fails(`${cert}: cannot be read: it is larger than 1 MiB`);
  await folder.make([], DAY_MS, Date.UTC(2020, 0, 1));
  await folder.fails(`${cert}: the CA expired on 2020-01-02T00:00:00Z`);
});

test("what works and should not stay so is a warning", async () => {
  using folder = new AuthorityFolder();
  await folder.make(["example.org"]);
  assert.deepEqual((await folder.load(["*.example.org", "www.example.org"])).warningsAt(clock.wallMs()), []);
  if (process.platform !== "win32") chmodSync(folder.file("ca.key"), 0o640);
  const loaded = await folder.load(["*.example.org", "*.example.com", "192.0.2.1"]);
  const warnings = loaded.warningsAt(clock.wallMs());
  const [cert, key] = pathsOfAuthority(folder.path);
  assert.deepEqual(warnings, [
    `${key}: other users may read or write the key of the CA (mode 640): chmod 600 it`,
    `${cert}: the CA may not certify *.example.com, 192.0.2.1: those hosts cannot be intercepted`,
  ]);
  assert.equal(
    (await folder.load(["*"])).warningsAt(clock.wallMs()).at(-1),
    `${cert}: the CA certifies only example.org and below: HTTPS of all other hosts fails`,
  );
  await folder.make([], 5 * DAY_MS);
  assert.match(
    (await folder.load(["*.example.com"])).warningsAt(clock.wallMs()).join(),
    /ca\.pem: the CA expires on .*: make its successor/,
  );
});

test("leaves outlive a restart, are shared, and are made anew when their file is damaged or the CA another", async () => {
  using folder = new AuthorityFolder();
  await folder.make();
  const leafOf = async (): Promise<Leaf> => {
    const leaves = leavesOf((await folder.load()).authority, folder.file("leaves"), clock, assert.fail);
    const leaf = await leaves.leafFor("a.example");
    await leaves.written();
    return leaf;
  };
  const stored = (): readonly string[] => readdirSync(folder.file("leaves"));
  const leaf = await leafOf();
  assert.deepEqual(await leafOf(), leaf);
  const [file = ""] = stored();

  folder.write(`leaves/${file}`, folder.read(`leaves/${file}`).slice(0, -100));
  const anew = await leafOf();
  assert.notEqual(anew.key, leaf.key);
  assert.deepEqual(await leafOf(), anew);

  await folder.make();
  assert.ok((await leafOf()).cert.endsWith(folder.read("ca.pem")));
  assert.equal(stored().length, 2);
});
