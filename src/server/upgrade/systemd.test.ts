// Where another process can take the place of this one, and how systemd is told: by a program of its name that notes what it is given.

import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { afterEach, describe, it } from "node:test";
import { TestFolder } from "../../../test/support/folder.ts";
import { obstacleTo, tellMainProcess } from "./systemd.ts";

const { PATH, NOTIFY_SOCKET } = process.env;

function setOrDelete(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

afterEach(() => {
  setOrDelete("PATH", PATH);
  setOrDelete("NOTIFY_SOCKET", NOTIFY_SOCKET);
});

describe("another process", () => {
  const cases: readonly (readonly [
    where: string,
    process: Parameters<typeof obstacleTo>[0],
    obstacle: RegExp | null,
  ])[] = [
    ["of a shell can stay", { pid: 10, ppid: 9, env: {} }, null],
    ["of a session that systemd began can stay", { pid: 10, ppid: 9, env: { INVOCATION_ID: "a" } }, null],
    ["whose parent is gone can stay", { pid: 10, ppid: 1, env: {} }, null],
    [
      "of a service that may tell can stay",
      { pid: 10, ppid: 1, env: { INVOCATION_ID: "a", NOTIFY_SOCKET: "b" } },
      null,
    ],
    [
      "of a service that may not would be ended",
      { pid: 10, ppid: 1, env: { INVOCATION_ID: "a" } },
      /NotifyAccess=all$/,
    ],
    [
      "of a service of a user's manager, too",
      { pid: 10, ppid: 9, env: { INVOCATION_ID: "a", SYSTEMD_EXEC_PID: "10" } },
      /NotifyAccess=all$/,
    ],
    [
      "of a shell of a service can stay",
      { pid: 10, ppid: 9, env: { INVOCATION_ID: "a", SYSTEMD_EXEC_PID: "9" } },
      null,
    ],
    ["of a container's first would be ended", { pid: 1, ppid: 0, env: {} }, /process 1/],
  ];
  for (const [where, of, obstacle] of cases) {
    it(where, () =>
      obstacle === null
        ? assert.equal(obstacleTo(of, false, false), null)
        : assert.match(obstacleTo(of, false, false) ?? "", obstacle),
    );
  }
  it("of an init that a container was given would be ended with that", () =>
    assert.match(obstacleTo({ pid: 7, ppid: 1, env: {} }, false, true) ?? "", /process 1 of a container/));
  it("of a shell in a container can stay", () =>
    assert.equal(obstacleTo({ pid: 70, ppid: 60, env: {} }, false, true), null));
  it("of one in a container that another one has started, which has ended since, can stay", () =>
    assert.equal(obstacleTo({ pid: 80, ppid: 1, env: {} }, true, true), null));
  it("of a service of a container's systemd that may tell can stay", () =>
    assert.equal(obstacleTo({ pid: 7, ppid: 1, env: { INVOCATION_ID: "a", NOTIFY_SOCKET: "b" } }, false, true), null));
});

describe("systemd", () => {
  it("is told which is the main process", async () => {
    using folder = new TestFolder();
    const program = folder.write("systemd-notify", `#!/bin/sh\necho "$NOTIFY_SOCKET $*" > '${folder.file("told")}'\n`);
    chmodSync(program, 0o755);
    process.env.PATH = `${folder.path}:${PATH}`;
    process.env.NOTIFY_SOCKET = "/run/notify";
    await tellMainProcess(4712);
    assert.equal(folder.read("told"), "/run/notify MAINPID=4712\n");
  });

  it("is told nothing where it does not listen, and it is an error when it cannot be told", async () => {
    using folder = new TestFolder();
    process.env.PATH = folder.path;
    delete process.env.NOTIFY_SOCKET;
    await tellMainProcess(4712);
    process.env.NOTIFY_SOCKET = "/run/notify";
    await assert.rejects(tellMainProcess(4712), /systemd-notify/);
  });
});
