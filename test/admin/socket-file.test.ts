// The file of the socket: whose it is, what may stand in its place, and that it is gone at the end.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, test } from "node:test";
import { AdminError } from "../../src/admin/admin-error.ts";
import { AdminStage, unixAt } from "./admin-stage.ts";

const isRoot = process.getuid?.() === 0;

/** A socket whose process was killed. */
function leaveStale(file: string): void {
  const program = `require("net").createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", program]);
  assert.ok(lstatSync(file).isSocket());
}

function refuses(stage: AdminStage, reason: string, file = stage.socketPath): Promise<void> {
  return assert.rejects(stage.open(unixAt(file)), (error) => {
    assert.ok(error instanceof AdminError);
    assert.equal(error.message, `admin cannot listen on unix:${file}: ${reason}`);
    return true;
  });
}

describe("the socket", () => {
  test("is its owner's alone, from the first moment", async () => {
    using stage = new AdminStage();
    const modes = new Set<number>();
    const umask = process.umask(0);
    try {
      const opening = stage.open(unixAt(stage.socketPath));
      let isOpen = false;
      void opening.then(() => {
        isOpen = true;
      });
      while (!isOpen) {
        const stats = statSync(stage.socketPath, { throwIfNoEntry: false });
        if (stats !== undefined) modes.add(stats.mode & 0o777);
        // What is there before lies in a folder that nobody else can enter.
        for (const name of readdirSync(stage.folder).filter((entry) => entry.startsWith(".headgate-"))) {
          assert.equal(lstatSync(path.join(stage.folder, name)).mode & 0o777, 0o700);
        }
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      await opening;
      modes.add(statSync(stage.socketPath).mode & 0o777);
    } finally {
      process.umask(umask);
    }
    assert.deepEqual([...modes], [0o600]);
    assert.deepEqual(readdirSync(stage.folder), ["admin.sock"]);
    assert.deepEqual(
      [stage.admin.address, stage.output.lines],
      [`unix:${stage.socketPath}`, [`info admin on unix:${stage.socketPath}`]],
    );
  });

  test("is gone when the interface is closed", async () => {
    using stage = await AdminStage.start();
    stage.admin.close();
    assert.equal(existsSync(stage.socketPath), false);
    stage.admin.close();
  });

  test("of another one, which took its name, stays", async () => {
    using stage = await AdminStage.start();
    rmSync(stage.socketPath);
    using other = new AdminStage();
    await other.open(unixAt(stage.socketPath));
    stage.admin.close();
    assert.ok(existsSync(stage.socketPath));
    assert.equal((await other.ask("GET", "/status")).status, 200);
  });

  test("is kept when it is asked for again, in whichever words", async () => {
    using stage = await AdminStage.start();
    const current = stage.admin;
    const places = [{ path: stage.socketPath, isTemporary: false }];
    assert.equal(await stage.open(unixAt(stage.socketPath), { current }), current);
    assert.equal(await stage.open({ kind: "auto" }, { current, places }), current);
    assert.equal(stage.output.lines.length, 1);
    assert.notEqual(await stage.open(unixAt(`${stage.socketPath}2`), { current }), current);
  });

  test("that a killed process left behind is replaced", async () => {
    using stage = new AdminStage();
    leaveStale(stage.socketPath);
    await stage.open(unixAt(stage.socketPath));
    assert.equal((await stage.ask("GET", "/status")).status, 200);
    assert.equal(statSync(stage.socketPath).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(stage.folder), ["admin.sock"]);
  });

  test("on which somebody answers is not touched", async () => {
    using stage = await AdminStage.start();
    const before = lstatSync(stage.socketPath).ino;
    using second = new AdminStage();
    await refuses(second, "another headgate, which runs, has this socket", stage.socketPath);
    assert.equal(lstatSync(stage.socketPath).ino, before);
    assert.equal((await stage.ask("GET", "/status")).status, 200);
  });

  test("is one instance's, when several start in the same moment over a stale one", async () => {
    using stage = new AdminStage();
    leaveStale(stage.socketPath);
    const stages = Array.from({ length: 8 }, () => new AdminStage());
    try {
      const outcomes = await Promise.allSettled(stages.map((each) => each.open(unixAt(stage.socketPath))));
      const winner = outcomes.findIndex(({ status }) => status === "fulfilled");
      assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
      assert.equal((await stages[winner]!.ask("GET", "/status")).status, 200);
      assert.deepEqual(stages[winner]!.control.calls, ["status"]);
      assert.deepEqual(readdirSync(stage.folder), ["admin.sock"]);
    } finally {
      for (const each of stages) each[Symbol.dispose]();
    }
  });
});

describe("in the place of the socket", () => {
  test("a file stays what it is", async () => {
    using stage = new AdminStage();
    writeFileSync(stage.socketPath, "text");
    await refuses(stage, "there is a file of this name that is no socket");
    assert.equal(readFileSync(stage.socketPath, "utf8"), "text");
    assert.deepEqual(readdirSync(stage.folder), ["admin.sock"]);
  });

  test("a link is not followed", async () => {
    using stage = new AdminStage();
    using other = await AdminStage.start();
    symlinkSync(other.socketPath, stage.socketPath);
    await refuses(stage, "there is a file of this name that is no socket");
    assert.ok(lstatSync(stage.socketPath).isSymbolicLink());
  });

  test("a socket of another program, too, stays", async () => {
    using stage = new AdminStage();
    const server = net.createServer().listen(stage.socketPath);
    await once(server, "listening");
    await refuses(stage, "another headgate, which runs, has this socket");
    server.close();
  });
});

describe("a folder", () => {
  test("that is not there", async () => {
    using stage = new AdminStage();
    await refuses(stage, "its folder is not there", path.join(stage.folder, "none", "admin.sock"));
  });

  test("that is a file", async () => {
    using stage = new AdminStage();
    writeFileSync(path.join(stage.folder, "file"), "");
    await refuses(stage, "its folder is not there", path.join(stage.folder, "file", "admin.sock"));
  });

  test("that is not to be written to", { skip: isRoot && "root may write everywhere" }, async () => {
    using stage = new AdminStage();
    chmodSync(stage.folder, 0o500);
    await refuses(stage, "permission denied");
    chmodSync(stage.folder, 0o700);
  });

  test("whose path is too long for a socket", async () => {
    using stage = new AdminStage();
    const folder = path.join(stage.folder, "x".repeat(88 - stage.folder.length));
    mkdirSync(folder);
    await refuses(stage, "the path of its folder may have at most 88 bytes", path.join(folder, "a"));
    assert.deepEqual(readdirSync(folder), []);
    const shorter = folder.slice(0, -1);
    renameSync(folder, shorter);
    await stage.open(unixAt(path.join(shorter, "a")));
    assert.equal((await stage.ask("GET", "/status")).status, 200);
  });

  test("whose name alone is too long for a socket", async () => {
    using stage = new AdminStage();
    const longest = path.join(stage.folder, "x".repeat(107 - stage.folder.length - 1));
    await refuses(stage, "the path of a unix socket may have at most 107 bytes", `${longest}x`);
    await stage.open(unixAt(longest));
    assert.equal((await stage.ask("GET", "/status")).status, 200);
  });
});

describe("a port", () => {
  test("that is in use", async () => {
    using stage = await AdminStage.start("tcp");
    using second = new AdminStage();
    const address = { kind: "tcp", host: "127.0.0.1", port: stage.port } as const;
    await assert.rejects(second.open({ kind: "listen", address }), {
      name: "AdminError",
      message: `admin cannot listen on 127.0.0.1:${stage.port}: the port is already in use`,
    });
  });

  test("is told with the number that it has", async () => {
    using stage = await AdminStage.start("tcp");
    assert.match(stage.admin.address, /^127\.0\.0\.1:[1-9]\d+$/);
    assert.deepEqual(stage.output.lines, [`info admin on ${stage.admin.address}`]);
  });
});
