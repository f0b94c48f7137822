// A proxy that runs, and the commands that speak to it: what they say, and what becomes of the proxy and of its socket.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import type { Status } from "../../src/server/control.ts";
import { Folder, Running } from "../cli/headgate.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { CommandRun, run } from "./command-run.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** With one worker, which starts sooner: what several do is tested in test/threads. */
function answering(body: string, top = ""): string {
  return `servers: { web: { listen: "127.0.0.1:0", respond: { body: ${body} } } }\nlog: { access: "off" }\n${top}\nworkers: 1\n`;
}

async function bodyAt(client: RawClient): Promise<string> {
  return (await client.send(GET).answer()).body;
}

async function statusIn(folder: Folder, ...args: readonly string[]): Promise<Status> {
  const { status, stdout, stderr } = await run(folder.path, "status", "--json", ...args);
  assert.deepEqual([status, stderr], [0, ""]);
  return JSON.parse(stdout) as Status;
}

describe("headgate status", () => {
  test("says what really is", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here"));
    await using running = await Running.start(folder.path, "run");
    assert.equal(statSync(folder.file("headgate.sock")).mode & 0o777, 0o600);
    using client = await RawClient.connect(running.port("web"));
    for (const _ of [1, 2, 3]) await bodyAt(client);
    const status = await statusIn(folder);
    assert.equal(status.pid, running.process.pid);
    assert.equal(status.state, "serving");
    assert.equal(status.config, folder.file("headgate.yaml"));
    const url = `http://127.0.0.1:${running.port("web")}`;
    assert.deepEqual(status.listeners, [{ server: "web", url, isForward: false }]);
    assert.equal(status.lastReload, null);
    assert.ok(Math.abs(Date.parse(status.startedAt) + status.uptimeSeconds * 1000 - Date.now()) < 30_000);
    const sum = (of: "connections" | "requests") => status.workers.reduce((all, worker) => all + worker[of], 0);
    assert.deepEqual([sum("connections"), sum("requests")], [1, 3]);
    const { stdout } = await run(folder.path, "status");
    assert.match(
      stdout,
      new RegExp(`^process +${running.process.pid}, admin on unix:${folder.path}/headgate\\.sock$`, "m"),
    );
    for (const { id } of status.workers) assert.match(stdout, new RegExp(`^ *${id}  serving `, "m"));
  });
});

describe("headgate reload", () => {
  test("warns of what a start would warn of", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using _running = await Running.start(folder.path, "run");
    const egress = `egress: { listen: "127.0.0.1:0", forward: { allow: [{ debug: { until: 2100-01-01T00:00:00Z } }] } }`;
    folder.file("headgate.yaml", `servers: { ${egress} }\nlog: { access: { output: access.log } }\nworkers: 1\n`);
    const { status, stderr } = await run(folder.path, "reload");
    const rule = "servers.egress.forward: the rule allow[0]";
    const warning = `warning: ${rule} writes header fields to the access log until 2100-01-01T00:00:00.000Z\n`;
    assert.deepEqual([status, stderr], [0, warning]);
  });

  test("loads the file again, or says what is wrong and leaves everything as it was", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run");
    using client = await RawClient.connect(running.port("web"));
    folder.file("headgate.yaml", answering("new"));
    assert.deepEqual(await run(folder.path, "reload"), {
      status: 0,
      stdout: "loaded again: servers changed: web\n",
      stderr: "",
    });
    assert.equal(await bodyAt(client), "new");
    folder.file("headgate.yaml", answering("newer").replace("respond", "respnd"));
    const wrong = await run(folder.path, "reload");
    assert.deepEqual([wrong.status, wrong.stdout], [1, ""]);
    assert.match(wrong.stderr, /^headgate\.yaml:1:42: servers\.web\.respnd: unknown field; did you mean "respond"\?\n/);
    assert.match(wrong.stderr, /\nthe configuration was not loaded: the old one goes on serving\n$/);
    assert.equal(await bodyAt(client), "new");
    const { lastReload } = await statusIn(folder);
    assert.equal(lastReload?.outcome.kind, "failed");
  });

  test("moves the admin interface, and keeps it when the new place is not to be had", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here"));
    await using running = await Running.start(folder.path, "run");
    // The command reads the new address in the file, and the proxy still has the old one.
    const asking = ["--admin", `unix:${folder.file("headgate.sock")}`];
    folder.file("headgate.yaml", answering("here", "admin: unix:none/admin.sock"));
    const refused = await run(folder.path, "reload", ...asking);
    assert.equal(refused.status, 1);
    assert.match(
      refused.stderr,
      /^headgate\.yaml:3:8: admin: admin cannot listen on unix:.*: its folder is not there\n/,
    );
    assert.equal((await statusIn(folder, ...asking)).pid, running.process.pid);
    folder.file("headgate.yaml", answering("here", "admin: unix:admin.sock"));
    assert.equal((await run(folder.path, "reload", ...asking)).status, 0);
    assert.equal(existsSync(folder.file("headgate.sock")), false);
    assert.equal((await statusIn(folder)).pid, running.process.pid);
    // The same place in the words of the default is no other place.
    folder.file("headgate.yaml", answering("here", "admin: unix:headgate.sock"));
    assert.equal((await run(folder.path, "reload", "--admin", "unix:admin.sock")).status, 0);
    folder.file("headgate.yaml", answering("here"));
    assert.equal((await run(folder.path, "reload")).status, 0);
    assert.equal((await statusIn(folder)).pid, running.process.pid);
  });

  test("opens the access log anew after it was renamed", async () => {
    using folder = new Folder();
    const log = 'log: { access: { format: "{path}", output: access.log } }';
    folder.file("headgate.yaml", `servers: { web: { listen: "127.0.0.1:0", respond: 204 } }\n${log}\n`);
    await using running = await Running.start(folder.path, "run");
    renameSync(folder.file("access.log"), folder.file("access.log.1"));
    assert.equal((await run(folder.path, "reload")).status, 0);
    await running.untilLogged(/^headgate reload: log files were opened anew$/);
    assert.ok(existsSync(folder.file("access.log")));
  });

  test("says so when the access log cannot be opened anew", async () => {
    using folder = new Folder();
    const log = 'log: { access: { format: "{path}", output: access.log } }';
    folder.file("headgate.yaml", `servers: { web: { listen: "127.0.0.1:0", respond: 204 } }\n${log}\n`);
    await using running = await Running.start(folder.path, "run");
    renameSync(folder.file("access.log"), folder.file("access.log.1"));
    mkdirSync(folder.file("access.log"));
    const { status, stderr } = await run(folder.path, "reload");
    assert.equal(status, 0);
    const trouble =
      "cannot open the log file \\S+/access\\.log: this is a folder, not a file; what was open before is written to";
    assert.match(stderr, new RegExp(`^warning: ${trouble}`));
    await running.untilLogged(new RegExp(`^headgate reload: ${trouble}`));
  });

  test("of a proxy of flags makes no sense", async () => {
    using folder = new Folder();
    await using _running = await Running.start(
      folder.path,
      "proxy",
      "--listen",
      "127.0.0.1:0",
      "--to",
      "http://127.0.0.1:1",
    );
    const { status, stdout, stderr } = await run(folder.path, "reload");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /^the configuration came from the command line, not from a file\n$/);
    assert.equal((await statusIn(folder)).config, null);
  });
});

test("what is meant for the configuration of this folder reaches no proxy of another one", async () => {
  using folder = new Folder();
  folder.file("first.yaml", answering("here"));
  // It names no place of its own either, and is not running.
  folder.file("headgate.yaml", answering("there"));
  await using running = await Running.start(folder.path, "run", "--config", "first.yaml");
  for (const command of [["reload"], ["drain"], ["stop"], ["cache", "purge", "https://a.example/x"]]) {
    const { status, stdout, stderr } = await run(folder.path, ...command);
    assert.deepEqual([status, stdout], [1, ""]);
    const [at, served, meant] = ["headgate.sock", "first.yaml", "headgate.yaml"].map((name) => folder.file(name));
    assert.equal(
      stderr,
      `the proxy at unix:${at} serves ${served}, and not ${meant}: if it is meant, say --admin unix:${at}\n`,
    );
  }
  assert.equal((await statusIn(folder)).pid, running.process.pid);
  assert.equal((await run(folder.path, "reload", "--config", "first.yaml")).status, 0);
  assert.equal((await run(folder.path, "stop", "--admin", `unix:${folder.file("headgate.sock")}`)).status, 0);
});

/** The kernel takes a process's descriptors first, and then the process. */
function hasNothingOpen(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return readdirSync(`/proc/${pid}/fd`).length === 0;
  } catch (error) {
    return ["ESRCH", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "");
  }
}

describe("an end", () => {
  async function withSlowOrigin(
    use: (folder: Folder, running: Running, client: RawClient, answer: () => void) => Promise<void>,
  ): Promise<void> {
    const { promise: asked, resolve } = Promise.withResolvers<() => void>();
    await using origin = await Origin.start((_request, response) => resolve(() => response.end("done")));
    using folder = new Folder();
    const web = `servers: { web: { listen: "127.0.0.1:0", proxy: "${origin.url}" } }`;
    folder.file("headgate.yaml", `${web}\nlog: { access: "off" }\ndrainTimeout: 60s\nworkers: 1\n`);
    await using running = await Running.start(folder.path, "run");
    using client = await RawClient.connect(running.port("web"));
    client.send(GET);
    await use(folder, running, client, await asked);
    assert.equal(await running.ended(), 0);
    assert.equal(existsSync(folder.file("headgate.sock")), false);
    assert.match(
      (await run(folder.path, "status", "--admin", "unix:headgate.sock")).stderr,
      /^no headgate answers on /,
    );
  }

  test("by headgate drain comes when the last exchange has ended, and the command waits for it", () =>
    withSlowOrigin(async (folder, running, client, answer) => {
      const command = new CommandRun(folder.path, "drain");
      await command.untilStdout(/\n/);
      const { pid } = running.process;
      assert.equal(command.stdout, `process ${pid} accepts nothing new, and ends when what is under way has ended\n`);
      assert.equal((await statusIn(folder)).state, "draining");
      const refused = await run(folder.path, "reload");
      assert.deepEqual([refused.status, refused.stderr], [1, "the process is about to end\n"]);
      answer();
      const { body, fields } = await client.answer();
      assert.deepEqual([body, fields.get("connection")], ["done", "close"]);
      client.socket.end();
      assert.equal(await command.ended, 0);
      // It does not speak too soon: the process is gone, or the kernel is at the rest of it.
      assert.ok(hasNothingOpen(pid!));
      assert.match(command.stdout, new RegExp(`\\nprocess ${pid} has ended\\n$`));
    }));

  test("by headgate drain --no-wait comes later", () =>
    withSlowOrigin(async (folder, running, client, answer) => {
      const { status, stdout } = await run(folder.path, "drain", "--no-wait");
      assert.equal(status, 0);
      assert.doesNotMatch(stdout, /process \d+ has ended/);
      assert.equal((await statusIn(folder)).pid, running.process.pid);
      answer();
      await client.answer();
      client.socket.end();
    }));

  test("by headgate stop comes at once", () =>
    withSlowOrigin(async (folder, running, client) => {
      const { status, stdout, stderr } = await run(folder.path, "stop");
      assert.deepEqual([status, stdout, stderr], [0, `process ${running.process.pid} has ended\n`, ""]);
      await client.untilEnded();
      // Its output may come behind its end.
      await running.ended();
      assert.deepEqual(
        running.entries.map(({ msg }) => msg).filter((msg) => /^headgate stop|cut off|cutting off/.test(msg)),
        ["headgate stop: no new connections; what is under way is cut off"],
      );
    }));

  test("by headgate stop comes at once while it drains, too", () =>
    withSlowOrigin(async (folder, running, client) => {
      const draining = new CommandRun(folder.path, "drain");
      await draining.untilStdout(/\n/);
      assert.equal((await run(folder.path, "stop")).status, 0);
      assert.equal(await draining.ended, 0);
      assert.match(draining.stdout, new RegExp(`\\nprocess ${running.process.pid} has ended\\n$`));
      await client.untilEnded();
    }));
});

describe("the socket of a proxy", () => {
  test("is not taken by a second instance, which serves without one", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("first"));
    await using first = await Running.start(folder.path, "run");
    folder.file("second.yaml", answering("second"));
    await using second = await Running.start(folder.path, "run", "--config", "second.yaml");
    using client = await RawClient.connect(second.port("web"));
    assert.equal(await bodyAt(client), "second");
    const warnings = second.entries.filter(({ level }) => level === "warn").map(({ msg }) => msg);
    assert.match(
      warnings[0] ?? "",
      /^admin cannot listen on unix:.*headgate\.sock: another headgate, which runs, has this socket$/,
    );
    assert.match(warnings[1] ?? "", /^there is no admin interface: /);
    second.signal("SIGTERM");
    second.signal("SIGINT");
    await second.ended();
    assert.equal((await statusIn(folder)).pid, first.process.pid);
  });

  test("that a killed one left behind is taken by the next", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here"));
    {
      await using killed = await Running.start(folder.path, "run");
      killed.signal("SIGKILL");
      assert.equal(await killed.ended(), "SIGKILL");
    }
    assert.ok(existsSync(folder.file("headgate.sock")));
    await using running = await Running.start(folder.path, "run");
    assert.equal((await statusIn(folder)).pid, running.process.pid);
  });

  test("that somebody has removed is made again by a reload, and is gone at the end", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here"));
    await using running = await Running.start(folder.path, "run");
    rmSync(folder.file("headgate.sock"));
    running.process.kill("SIGHUP");
    await running.untilLogged(/SIGHUP, loaded again/);
    assert.equal((await statusIn(folder)).pid, running.process.pid);
    assert.equal((await run(folder.path, "stop")).status, 0);
    assert.equal(existsSync(folder.file("headgate.sock")), false);
  });

  test("that the file names must be to be had, or nothing starts", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here", `admin: unix:${path.join("none", "admin.sock")}`));
    const { status, stderr } = await run(folder.path, "run");
    assert.equal(status, 1);
    assert.match(stderr, /(^|\n)headgate\.yaml:3:8: admin: admin cannot listen on unix:.*: its folder is not there\n/);
  });

  test("is not there when it is off", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here", "admin: off"));
    await using _running = await Running.start(folder.path, "run");
    assert.equal(existsSync(folder.file("headgate.sock")), false);
  });
});
