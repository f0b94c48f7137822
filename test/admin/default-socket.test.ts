// Where the interface is when the configuration does not say it, and that a machine without a place for it costs a warning
// and nothing else.

import assert from "node:assert/strict";
import { chmodSync, lstatSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { AdminSocketPlace } from "../../src/config/admin-address.ts";
import { AdminStage } from "./admin-stage.ts";

const NONE = 'warn there is no admin interface: "admin" in the configuration may name an address, or be "off"';
let stage: AdminStage;
let places: readonly AdminSocketPlace[];

beforeEach(() => {
  stage = new AdminStage();
  mkdirSync(path.join(stage.folder, "run"));
  places = [
    { path: path.join(stage.folder, "run", "headgate.sock"), isTemporary: false },
    { path: path.join(stage.folder, "own", "headgate.sock"), isTemporary: true },
  ];
});

afterEach(() => stage[Symbol.dispose]());

describe("auto", () => {
  test("is the first place whose folder is there", async () => {
    const admin = await stage.open({ kind: "auto" }, { places });
    assert.equal(admin?.address, `unix:${stage.folder}/run/headgate.sock`);
    assert.equal((await stage.ask("GET", "/status")).status, 200);
    assert.deepEqual(stage.output.lines, [`info admin on ${admin?.address}`]);
  });

  test("leaves the first instance its socket: the second one goes on without, and says so", async () => {
    await stage.open({ kind: "auto" }, { places });
    using second = new AdminStage();
    assert.equal(await second.open({ kind: "auto" }, { places }), null);
    const taken = `unix:${stage.folder}/run/headgate.sock: another headgate, which runs, has this socket`;
    assert.deepEqual(second.output.lines, [`warn admin cannot listen on ${taken}`, NONE]);
    assert.equal((await stage.ask("GET", "/status")).status, 200);
    assert.deepEqual(readdirSync(stage.folder), ["run"]);
  });

  test("says why there is none when no place will do", async () => {
    const nowhere = [{ path: path.join(stage.folder, "gone", "headgate.sock"), isTemporary: false }];
    assert.equal(await stage.open({ kind: "auto" }, { places: nowhere }), null);
    const problem = `warn admin cannot listen on unix:${nowhere[0]!.path}: its folder is not there`;
    assert.deepEqual(stage.output.lines, [problem, NONE]);
  });
});

describe("auto in the temporary folder", () => {
  const own = () => path.join(stage.folder, "own");

  test("makes a folder for this user alone, and uses it again", async () => {
    const umask = process.umask(0);
    try {
      const admin = await stage.open({ kind: "auto" }, { places: places.slice(1) });
      assert.equal(admin?.address, `unix:${own()}/headgate.sock`);
      assert.equal(lstatSync(own()).mode & 0o777, 0o700);
      admin?.close();
      assert.deepEqual(readdirSync(own()), []);
      await stage.open({ kind: "auto" }, { places: places.slice(1) });
      assert.deepEqual(readdirSync(own()), ["headgate.sock"]);
    } finally {
      process.umask(umask);
    }
  });

  async function refused(reason: string): Promise<void> {
    assert.equal(await stage.open({ kind: "auto" }, { places: places.slice(1) }), null);
    assert.deepEqual(stage.output.lines, [`warn admin cannot listen on unix:${own()}: ${reason}`, NONE]);
  }
  const NOT_OURS = "the folder must be this user's, and open to nobody else (mode 0700)";

  test("takes no folder that others may enter", async () => {
    mkdirSync(own());
    chmodSync(own(), 0o711);
    await refused(NOT_OURS);
    assert.deepEqual(readdirSync(own()), []);
  });

  test("takes no link to a folder, which may lead elsewhere tomorrow", async () => {
    mkdirSync(path.join(stage.folder, "private"), { mode: 0o700 });
    symlinkSync(path.join(stage.folder, "private"), own());
    await refused(NOT_OURS);
    assert.deepEqual(readdirSync(path.join(stage.folder, "private")), []);
  });
});

test("off is nowhere, and nothing to speak of", async () => {
  assert.equal(await stage.open({ kind: "off" }, { places }), null);
  assert.deepEqual([stage.output.lines, readdirSync(path.join(stage.folder, "run"))], [[], []]);
});
